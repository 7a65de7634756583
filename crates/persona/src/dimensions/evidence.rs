//! The sentences that moved a reading: each is framed alone and asked for that dimension's phrases only.

use std::collections::BTreeMap;

use idiolect_core::{
    fingerprint::Span,
    reading::{Evidence, Reading, ReadingStatus},
};
use idiolect_llm::ScoreRequest;
use idiolect_text::segment;

use super::{
    Scope,
    channel::AnchorVectors,
    forward::{content_free, continuations, framed, phrases, poles},
    prompt_version, window,
};
use crate::{
    Instruments, Passage, Progress, Result, anchors::anchors, cache, calibration::Calibration,
};

/// Dimensions that get evidence, strongest first.
const DIMENSIONS_SHOWN: usize = 24;
/// Sentences asked about a dimension.
const CANDIDATES: usize = 4;
/// Sentences asked about in one call.
const BATCH: usize = 8;

#[derive(Clone, Copy)]
struct Sentence<'a> {
    passage: Passage<'a>,
    start: usize,
    end: usize,
}

impl<'a> Sentence<'a> {
    fn text(&self) -> &'a str {
        &self.passage.text[self.start..self.end]
    }
}

/// Fills in the evidence of every known reading.
pub fn find(
    with: &Instruments<'_>,
    passages: &[Passage<'_>],
    calibration: &Calibration,
    readings: &mut [Reading],
    on_progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut shown: Vec<usize> = (0..readings.len())
        .filter(|&d| readings[d].status == ReadingStatus::Known && readings[d].direction != 0)
        .collect();
    shown.sort_by(|&a, &b| readings[b].score.abs().total_cmp(&readings[a].score.abs()));
    shown.truncate(DIMENSIONS_SHOWN);
    let sentences = read_sentences(with, passages)?;
    if shown.is_empty() || sentences.is_empty() {
        return Ok(());
    }

    let mut asked: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (d, candidates) in candidates(with, &sentences, &shown)? {
        for s in candidates {
            asked.entry(s).or_default().push(d);
        }
    }
    // Scope only decides which content-free scores are read; all shown dimensions are in the wider one if any is sensitive.
    let sensitive = shown
        .iter()
        .any(|&d| idiolect_core::space::space()[d].sensitive);
    let scope = if sensitive {
        Scope::Everything
    } else {
        Scope::WithoutSensitive
    };
    let habit = content_free(with, scope)?;
    let mut found: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    let asked: Vec<(usize, Vec<usize>)> = asked.into_iter().collect();
    for (done, batch) in asked.chunks(BATCH).enumerate() {
        with.cancel.check()?;
        on_progress(Progress {
            done: done * BATCH,
            total: asked.len(),
            unit: "sentences",
            message: "Looking for the sentences that moved the readings",
        });
        for (s, d, contrast) in contrasts(with, &sentences, batch)? {
            if let Some(standard) = calibration.dimensions[d] {
                found
                    .entry(d)
                    .or_default()
                    .push((s, standard.forward.z(contrast - habit[d])));
            }
        }
    }
    for (d, mut spans) in found {
        let total: f64 = spans.iter().map(|(_, z)| z.abs()).sum();
        spans.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        readings[d].evidence = spans
            .into_iter()
            .filter(|_| total > 0.0)
            .map(|(s, z)| Evidence {
                span: Span {
                    sample: sentences[s].passage.id.clone(),
                    start: sentences[s].start,
                    end: sentences[s].end,
                    text: sentences[s].text().to_owned(),
                },
                weight: z / total,
            })
            .collect();
    }
    Ok(())
}

/// Sentences of the parts that were read, with offsets in the whole text.
fn read_sentences<'a>(
    with: &Instruments<'_>,
    passages: &[Passage<'a>],
) -> Result<Vec<Sentence<'a>>> {
    let mut out = Vec::new();
    for &passage in passages {
        let window = window::first_sentences(with.model, passage.text)?;
        let offset = passage.text.len() - passage.text.trim_start().len();
        for span in segment::sentences(window) {
            let quote = span.quote(window);
            let start = offset + span.start + (quote.len() - quote.trim_start().len());
            let end = start + quote.trim().len();
            if segment::word_count(quote) >= 3 {
                out.push(Sentence {
                    passage,
                    start,
                    end,
                });
            }
        }
    }
    Ok(out)
}

/// For each dimension the sentences closest to its anchors; without an embedder those that share the most content
/// words with them, and the longest among equals.
fn candidates(
    with: &Instruments<'_>,
    sentences: &[Sentence<'_>],
    shown: &[usize],
) -> Result<Vec<(usize, Vec<usize>)>> {
    let texts: Vec<&str> = sentences.iter().map(Sentence::text).collect();
    let closeness: Vec<Vec<f32>> = if let Some(embedder) = with.embedder {
        let anchors = AnchorVectors::of(with, embedder)?;
        let vectors = embedder.embed(&texts, with.cancel)?;
        shown
            .iter()
            .map(|&d| vectors.iter().map(|v| anchors.closeness(d, v)).collect())
            .collect()
    } else {
        let index = idiolect_text::retrieve::Bm25::new(&texts);
        shown
            .iter()
            .map(|&d| {
                let a = &anchors()[d];
                let query = [&a.high, &a.low, &a.high_phrases, &a.low_phrases]
                    .map(|list| list.join(" "))
                    .join(" ");
                let mut row: Vec<f32> = texts.iter().map(|t| t.len() as f32 * 1e-6).collect();
                for (s, score) in index.search(&query, texts.len()) {
                    row[s] += score as f32;
                }
                row
            })
            .collect()
    };
    Ok(shown
        .iter()
        .zip(closeness)
        .map(|(&d, row)| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            order.truncate(CANDIDATES);
            (d, order)
        })
        .collect())
}

/// (sentence, dimension, high minus low) of a batch; one shared prefix a sentence.
fn contrasts(
    with: &Instruments<'_>,
    sentences: &[Sentence<'_>],
    batch: &[(usize, Vec<usize>)],
) -> Result<Vec<(usize, usize, f64)>> {
    let mut out = Vec::new();
    let mut requests = Vec::new();
    let mut meaning: Vec<(usize, Vec<usize>)> = Vec::new();
    for (s, dimensions) in batch {
        let mut missing = Vec::new();
        for &d in dimensions {
            let known = with.cache.get(&key(with, sentences[*s].text(), d));
            match known.and_then(|b| cache::from_bytes(&b, 1)) {
                Some(value) => out.push((*s, d, f64::from(value[0]))),
                None => missing.push(d),
            }
        }
        if missing.is_empty() {
            continue;
        }
        let mut request = ScoreRequest {
            prefix: framed(with.model, sentences[*s].text())?,
            ..ScoreRequest::default()
        };
        for &d in &missing {
            for phrases in phrases(d) {
                request
                    .continuations
                    .extend(continuations(with.model, phrases)?);
            }
        }
        requests.push(request);
        meaning.push((*s, missing));
    }
    let answers = if requests.is_empty() {
        Vec::new()
    } else {
        with.model.score(&requests, with.cancel)?
    };
    for (rows, (s, dimensions)) in answers.iter().zip(meaning) {
        let per_pole: Vec<usize> = dimensions
            .iter()
            .flat_map(|&d| phrases(d).map(<[String]>::len))
            .collect();
        let joined = poles(rows, &per_pole);
        for (i, d) in dimensions.into_iter().enumerate() {
            let value = joined[2 * i] - joined[2 * i + 1];
            with.cache.put(
                &key(with, sentences[s].text(), d),
                &cache::to_bytes(&[value as f32]),
            );
            out.push((s, d, value));
        }
    }
    Ok(out)
}

fn key(with: &Instruments<'_>, sentence: &str, dimension: usize) -> String {
    let version = format!("{}-{dimension}", prompt_version());
    cache::key("evidence", &version, with.model.info(), sentence)
}
