//! The noisy channel: how likely a sentence of the person's is from somebody at either pole.
//!
//! Only sentences that speak of a dimension are asked about, picked by their closeness to its anchors; without an
//! embedder this source is silent. Interests are left to the forward source, which hears a topic well.

use std::collections::BTreeMap;

use idiolect_core::space::{DIMENSIONS, space};
use idiolect_llm::{Embedder, ScoreRequest, TextModel, Token};
use idiolect_text::segment;

use super::{Scope, channel_version};
use crate::{Instruments, Result, anchors, cache};

/// Pairs of sentence and dimension asked about in one text.
const PAIRS: usize = 12;
/// Closeness below which a sentence does not speak of a dimension.
const LEAST_COSINE: f32 = 0.35;
/// Sentences of a text that are looked at.
const SENTENCES: usize = 24;
/// Dimensions of the person and the reply, before the interests.
const ASKED: usize = 47;

/// Raw channel scores of a text already cut to its window.
pub fn contrasts(with: &Instruments<'_>, text: &str, scope: Scope) -> Result<Vec<Option<f64>>> {
    let mut out = vec![None; DIMENSIONS];
    let Some(embedder) = with.embedder else {
        return Ok(out);
    };
    let version = format!(
        "{}-{}-{}",
        channel_version(),
        scope.tag(),
        embedder.dimensions()
    );
    let key = cache::key("channel", &version, with.model.info(), text);
    if let Some(known) = with
        .cache
        .get(&key)
        .and_then(|b| cache::from_bytes(&b, DIMENSIONS))
    {
        return Ok(known
            .into_iter()
            .map(|v| v.is_finite().then_some(f64::from(v)))
            .collect());
    }
    let sentences: Vec<&str> = segment::sentences(text)
        .into_iter()
        .map(|s| s.quote(text).trim())
        .filter(|s| (4..=40).contains(&segment::word_count(s)))
        .take(SENTENCES)
        .collect();
    let mut picked: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (dimension, sentence) in closest(with, embedder, &sentences, scope)? {
        picked
            .entry(dimension)
            .or_default()
            .push(sentences[sentence]);
    }
    if !picked.is_empty() {
        let mut requests = Vec::new();
        for (&d, sentences) in &picked {
            let continuations: Vec<Vec<Token>> = sentences
                .iter()
                .map(|s| with.model.encode(s))
                .collect::<idiolect_llm::Result<_>>()?;
            for phrases in [
                &anchors::anchors()[d].high_phrases,
                &anchors::anchors()[d].low_phrases,
            ] {
                requests.push(ScoreRequest {
                    prefix: prefix(with.model, phrases)?,
                    continuations: continuations.clone(),
                    ..ScoreRequest::default()
                });
            }
        }
        let rows = with.model.score(&requests, with.cancel)?;
        for (pair, d) in rows.chunks_exact(2).zip(picked.keys()) {
            let total =
                |rows: &[Vec<f32>]| -> f64 { rows.iter().flatten().map(|&lp| f64::from(lp)).sum() };
            let n = pair[0].len().max(1) as f64;
            out[*d] = Some((total(&pair[0]) - total(&pair[1])) / n);
        }
    }
    let bytes: Vec<f32> = out
        .iter()
        .map(|v| v.map_or(f32::NAN, |v| v as f32))
        .collect();
    with.cache.put(&key, &cache::to_bytes(&bytes));
    Ok(out)
}

fn prefix(model: &dyn TextModel, phrases: &[String]) -> Result<Vec<Token>> {
    let frame = include_str!("../../../../assets/prompts/channel.txt").trim_end();
    let mut tokens: Vec<Token> = model.bos().into_iter().collect();
    tokens.extend(model.encode(&frame.replace("{pole}", &phrases.join(", ")))?);
    Ok(tokens)
}

/// (dimension, sentence) pairs that belong together, closest first, at most [`PAIRS`].
fn closest(
    with: &Instruments<'_>,
    embedder: &dyn Embedder,
    sentences: &[&str],
    scope: Scope,
) -> Result<Vec<(usize, usize)>> {
    if sentences.is_empty() {
        return Ok(Vec::new());
    }
    let anchors = AnchorVectors::of(with, embedder)?;
    let vectors = embedder.embed(sentences, with.cancel)?;
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for dimension in space().iter().take(ASKED).filter(|d| scope.covers(d)) {
        let d = usize::from(dimension.index);
        for (s, vector) in vectors.iter().enumerate() {
            let closeness = anchors.closeness(d, vector);
            if closeness >= LEAST_COSINE {
                pairs.push((closeness, d, s));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    pairs.truncate(PAIRS);
    Ok(pairs.into_iter().map(|(_, d, s)| (d, s)).collect())
}

/// Embeddings of all anchor sentences, a dimension at a time.
pub struct AnchorVectors {
    by_dimension: Vec<Vec<Vec<f32>>>,
}

impl AnchorVectors {
    /// From the cache, or embedded now (seconds, once).
    pub fn of(with: &Instruments<'_>, embedder: &dyn Embedder) -> Result<Self> {
        let sentences: Vec<&str> = anchors::anchors()
            .iter()
            .flat_map(|a| a.high.iter().chain(&a.low))
            .map(String::as_str)
            .collect();
        let width = embedder.dimensions();
        let key = format!("anchor-vectors/{}/{width}", anchors::version());
        let flat = match with
            .cache
            .get(&key)
            .and_then(|b| cache::from_bytes(&b, sentences.len() * width))
        {
            Some(known) => known,
            None => {
                let flat: Vec<f32> = embedder.embed(&sentences, with.cancel)?.concat();
                with.cache.put(&key, &cache::to_bytes(&flat));
                flat
            }
        };
        let mut rows = flat.chunks_exact(width.max(1)).map(<[f32]>::to_vec);
        let by_dimension = anchors::anchors()
            .iter()
            .map(|a| rows.by_ref().take(a.high.len() + a.low.len()).collect())
            .collect();
        Ok(Self { by_dimension })
    }

    /// Cosine of a unit vector to the closest anchor of a dimension, either pole.
    pub fn closeness(&self, dimension: usize, vector: &[f32]) -> f32 {
        self.by_dimension[dimension]
            .iter()
            .map(|a| a.iter().zip(vector).map(|(x, y)| x * y).sum())
            .fold(f32::NEG_INFINITY, f32::max)
    }
}
