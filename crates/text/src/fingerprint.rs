//! A person's counted habits with intervals, references and verbatim evidence, and how far two texts are apart in
//! style. What the numbers claim about the person is `claims`' business.

use idiolect_core::Interval;
use idiolect_core::fingerprint::{Enough, Fingerprint, FingerprintFeature, Span as EvidenceSpan};
use idiolect_core::ids::SampleId;

use crate::catalog::{Feature, Finder, Unit, catalog};
use crate::features::{FeatureVector, Measurement, measure};
use crate::reference::ReferenceStyle;
use crate::segment::{self, Span};
use crate::stats::{mean, poisson_interval, t_975, variance};
use crate::{chunk, language};

/// Below this many words nothing is scored.
pub const MIN_WORDS: usize = 75;

/// From this many words on, figures are settled.
pub const SETTLED_WORDS: usize = 20_000;

const EVIDENCE: usize = 4;

/// The fingerprint of all English samples together. Deterministic: intervals are analytic, over samples where there
/// are ten or more, else over stretches of about 120 words.
#[must_use]
pub fn fingerprint(samples: &[(SampleId, &str)], reference: &ReferenceStyle) -> Fingerprint {
    let english: Vec<&(SampleId, &str)> = samples
        .iter()
        .filter(|(_, text)| language::counts_as_english(&language::guess(text)))
        .collect();
    let measured: Vec<Measurement> = english
        .iter()
        .map(|(_, text)| Measurement::of(text))
        .collect();
    let words: usize = measured.iter().map(|m| m.vector.words).sum();
    let sentences: usize = measured.iter().map(|m| m.vector.sentences).sum();
    let mut out = Fingerprint {
        words: count(words),
        sentences: count(sentences),
        samples: count(english.len()),
        other_language: count(samples.len() - english.len()),
        enough: enough(words),
        features: Vec::new(),
    };
    if words < MIN_WORDS {
        return out;
    }
    let texts: Vec<&str> = english.iter().map(|(_, text)| *text).collect();
    let whole = measure(&texts.join("\n\n"));
    let blocks = blocks(&texts, &measured);
    let mut ranked: Vec<(f64, FingerprintFeature)> = catalog()
        .features()
        .iter()
        .enumerate()
        .map(|(i, feature)| {
            let value = value_of(feature, i, &whole, &measured);
            let interval = interval(feature, i, value, &blocks, &measured);
            let stats = reference.stats(i);
            let standing = stats
                .filter(|s| s.sd > 0.0)
                .map(|s| (value - s.mean) / s.sd);
            let unusual = stats.map_or(0.0, |s| {
                let texts = (words as f64 / REFERENCE_WORDS).max(0.2);
                let shrink = s.between / (s.between + s.within / texts);
                (shrink * (s.normal_score(value) - s.centre)).abs()
                    / (2.0 * s.within + s.between).sqrt()
            });
            let row = FingerprintFeature {
                id: feature.id.clone(),
                name: feature.name.clone(),
                category: feature.category,
                unit: feature.unit.label().to_owned(),
                value,
                interval,
                reference: stats.map(crate::reference::FeatureStats::summary),
                standing,
                evidence: evidence(feature, i, &english, &measured),
            };
            (unusual, row)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    out.features = ranked.into_iter().map(|(_, row)| row).collect();
    out
}

/// About the length of the texts the reference was made of.
const REFERENCE_WORDS: f64 = 400.0;

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What a number of words allows to say.
#[must_use]
pub fn enough(words: usize) -> Enough {
    match words {
        0..MIN_WORDS => Enough::TooLittle {
            need_words: count(MIN_WORDS - words),
        },
        MIN_WORDS..SETTLED_WORDS => Enough::Wide,
        _ => Enough::Good,
    }
}

fn value_of(feature: &Feature, i: usize, whole: &FeatureVector, measured: &[Measurement]) -> f64 {
    let sum = |get: &dyn Fn(&Measurement) -> f64| measured.iter().map(get).sum::<f64>();
    match feature.finder {
        Finder::Figure(_) => whole.values[i],
        _ => {
            let base = if feature.unit == Unit::ShareOfTexts {
                measured.len() as f64
            } else {
                sum(&|m| m.vector.base(feature.unit))
            };
            let hits = sum(&|m| m.spans[i].len() as f64);
            if base > 0.0 { hits / base } else { 0.0 }
        }
    }
}

/// What varies independently, near enough: samples, or stretches of them.
fn blocks(texts: &[&str], measured: &[Measurement]) -> Vec<FeatureVector> {
    if texts.len() >= 10 {
        return measured.iter().map(|m| m.vector.clone()).collect();
    }
    let cut = |words: usize| -> Vec<FeatureVector> {
        texts
            .iter()
            .flat_map(|t| {
                chunk::chunks(t, words)
                    .into_iter()
                    .map(|c| measure(c.quote(t)))
            })
            .collect()
    };
    let blocks = cut(120);
    if blocks.len() >= 5 { blocks } else { cut(25) }
}

fn interval(
    feature: &Feature,
    i: usize,
    value: f64,
    blocks: &[FeatureVector],
    measured: &[Measurement],
) -> Interval {
    if feature.unit == Unit::ShareOfTexts {
        let hits = measured.iter().filter(|m| !m.spans[i].is_empty()).count();
        return Interval::wilson(hits as f64, measured.len() as f64);
    }
    let n = blocks.len();
    let spread = t_975(n.saturating_sub(1));
    if let Finder::Figure(_) = feature.finder {
        let values: Vec<f64> = blocks.iter().map(|b| b.values[i]).collect();
        let half = spread * (variance(&values) / n.max(1) as f64).sqrt();
        return if half.is_finite() {
            Interval::new(value - half, value + half)
        } else {
            Interval::new(value, value)
        };
    }
    // The ratio estimator's variance over clusters (Cochran, Sampling Techniques, 6.4).
    let base: f64 = blocks.iter().map(|b| b.base(feature.unit)).sum();
    if base <= 0.0 {
        return Interval::new(0.0, 0.0);
    }
    let residuals: f64 = blocks
        .iter()
        .map(|b| {
            let base = b.base(feature.unit);
            (b.values[i] * base - value * base).powi(2)
        })
        .sum();
    let half = if n > 1 {
        spread * (residuals * n as f64 / (n - 1) as f64).sqrt() / base
    } else {
        0.0
    };
    let hits = value * base;
    let mut out = Interval::new((value - half).max(0.0), value + half);
    if hits < 5.0 {
        // Few events: the count's own uncertainty rules.
        let counted = poisson_interval(hits);
        out = Interval::new(
            out.low.min(counted.low / base),
            out.high.max(counted.high / base),
        );
    }
    if matches!(
        feature.unit,
        Unit::ShareOfWords | Unit::ShareOfSentences | Unit::ShareOfParagraphs | Unit::ShareOfLines
    ) {
        out.high = out.high.min(1.0);
    }
    out
}

/// A few quotes, spread over the samples; a hit of a word or two is quoted with its neighbours.
fn evidence(
    feature: &Feature,
    i: usize,
    samples: &[&(SampleId, &str)],
    measured: &[Measurement],
) -> Vec<EvidenceSpan> {
    let hits: Vec<(usize, Span)> = measured
        .iter()
        .enumerate()
        .flat_map(|(s, m)| m.spans[i].iter().map(move |span| (s, *span)))
        .collect();
    let step = hits.len().div_ceil(EVIDENCE).max(1);
    let in_context = matches!(feature.finder, Finder::Token(_) | Finder::Words(_));
    hits.iter()
        .step_by(step)
        .map(|&(s, span)| {
            let (id, text) = samples[s];
            let span = if in_context {
                with_neighbours(text, span)
            } else {
                shortened(text, span)
            };
            EvidenceSpan {
                sample: id.clone(),
                start: span.start,
                end: span.end,
                text: span.quote(text).to_owned(),
            }
        })
        .collect()
}

/// Widens a hit by up to five words either side, within its line.
fn with_neighbours(text: &str, hit: Span) -> Span {
    const WORDS: usize = 5;
    let line_start = text[..hit.start].rfind('\n').map_or(0, |n| n + 1);
    let line_end = text[hit.end..]
        .find('\n')
        .map_or(text.len(), |n| hit.end + n);
    let before: Vec<usize> = text[line_start..hit.start]
        .char_indices()
        .filter(|(_, c)| c.is_whitespace())
        .map(|(n, c)| line_start + n + c.len_utf8())
        .collect();
    let after: Vec<usize> = text[hit.end..line_end]
        .char_indices()
        .filter(|(_, c)| c.is_whitespace())
        .map(|(n, _)| hit.end + n)
        .collect();
    let start = before
        .len()
        .checked_sub(WORDS + 1)
        .map_or(line_start, |n| before[n]);
    let end = after.get(WORDS).copied().unwrap_or(line_end);
    segment::trimmed(text, Span::new(start, end))
}

/// The first 200 bytes or so of a long span.
fn shortened(text: &str, span: Span) -> Span {
    const BYTES: usize = 200;
    if span.end - span.start <= BYTES {
        return span;
    }
    let end = span
        .quote(text)
        .char_indices()
        .rfind(|(n, c)| c.is_whitespace() && *n <= BYTES);
    Span::new(span.start, end.map_or(span.end, |(n, _)| span.start + n))
}

/// How far apart two texts are in style. 1 is as far as two texts of one writer usually are, larger is further; each
/// feature weighs by how well it tells writers apart. `None` when either text has fewer than [`MIN_WORDS`] words.
#[must_use]
pub fn style_distance(
    a: &FeatureVector,
    b: &FeatureVector,
    reference: &ReferenceStyle,
) -> Option<f64> {
    if a.words < MIN_WORDS || b.words < MIN_WORDS {
        return None;
    }
    let (mut sum, mut total) = (0.0, 0.0);
    for (i, (x, y)) in a.values.iter().zip(&b.values).enumerate() {
        let stats = reference.stats(i)?;
        let weight = stats.between / (stats.between + stats.within);
        let apart = stats.normal_score(*x) - stats.normal_score(*y);
        sum += weight * apart * apart / (2.0 * stats.within);
        total += weight;
    }
    (total > 0.0).then(|| (sum / total).sqrt())
}

/// The mean of several texts' vectors, each text with the same weight; `None` for no texts.
#[must_use]
pub fn mean_vector(texts: &[FeatureVector]) -> Option<FeatureVector> {
    let first = texts.first()?;
    let total = |get: fn(&FeatureVector) -> usize| texts.iter().map(get).sum();
    Some(FeatureVector {
        values: (0..first.values.len())
            .map(|i| mean(&texts.iter().map(|t| t.values[i]).collect::<Vec<_>>()))
            .collect(),
        words: total(|t| t.words),
        sentences: total(|t| t.sentences),
        paragraphs: total(|t| t.paragraphs),
        lines: total(|t| t.lines),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: &str = "It was a grey morning, and nobody in the house was in a hurry. The kettle had been left on the stove; \
        somebody, perhaps my aunt, had filled it in the night. We sat down without a word and waited. Outside, the lane was \
        being swept by a man whom I did not know. He worked slowly, and he seemed to enjoy it. When the kettle sang at last, \
        we made tea, which was what we had come for, and we drank it while the light came up over the yard.";
    const LOUD: &str = "Wow, what a day! You won't believe it! We got there at six and it's already packed! I don't know how \
        they do it! So I grab a coffee, right? And guess who's there! Ann! Can you believe that? She's been there since five! \
        We just laughed! Then the doors open and it's chaos! I lost my hat, I lost my phone, I even lost Ann! But it's fine! \
        We'll do it again next year! You should come! It'll be great! Promise me you'll come, okay?";

    fn print(samples: &[&str]) -> Fingerprint {
        let samples: Vec<(SampleId, &str)> = samples
            .iter()
            .enumerate()
            .map(|(i, t)| (SampleId::from(format!("s-{i}")), *t))
            .collect();
        fingerprint(&samples, ReferenceStyle::shipped())
    }

    fn feature<'a>(print: &'a Fingerprint, id: &str) -> &'a FingerprintFeature {
        print
            .features
            .iter()
            .find(|f| f.id == id)
            .unwrap_or_else(|| panic!("no {id}"))
    }

    #[test]
    fn too_little_text_is_said_and_not_scored() {
        let print = print(&["Just a few words, nothing to go by."]);
        assert_eq!(print.enough, Enough::TooLittle { need_words: 67 });
        assert!(print.features.is_empty(), "no scores below the minimum");
        assert_eq!(enough(75), Enough::Wide);
        assert_eq!(enough(20_000), Enough::Good);
    }

    #[test]
    fn habits_stand_out_with_interval_and_verbatim_evidence() {
        let print = print(&[LOUD]);
        let marks = feature(&print, "punct.exclamation");
        assert!(
            marks.standing.is_some_and(|z| z > 2.0),
            "standing {:?}",
            marks.standing
        );
        assert!(
            marks.interval.contains(marks.value),
            "the estimate lies in its interval"
        );
        assert!(
            marks.interval.high > marks.interval.low,
            "so little text leaves doubt"
        );
        let rank = print
            .features
            .iter()
            .position(|f| f.id == "punct.exclamation");
        assert!(
            rank.is_some_and(|r| r < 40),
            "the loudest habit is in the first fifth, not at {rank:?}"
        );
        for f in &print.features {
            for e in &f.evidence {
                assert_eq!(
                    LOUD.get(e.start..e.end),
                    Some(e.text.as_str()),
                    "{} quotes verbatim",
                    f.id
                );
            }
            assert!(
                f.value.is_finite() && f.interval.low.is_finite() && f.interval.high.is_finite(),
                "{}",
                f.id
            );
            assert!(
                f.interval.low <= f.value && f.value <= f.interval.high,
                "{}: {} in {:?}",
                f.id,
                f.value,
                f.interval
            );
        }
    }

    #[test]
    fn intervals_narrow_with_more_text() {
        let width = |n: usize| {
            let print = print(&vec![CALM; n]);
            let f = feature(&print, "punct.comma").interval;
            f.high - f.low
        };
        assert!(
            width(4) < width(1),
            "four times the text must not be less sure"
        );
    }

    #[test]
    fn other_languages_are_counted_apart() {
        let german = "Ich wollte dir nur kurz schreiben, dass wir morgen leider nicht kommen können, weil die Kinder krank sind.";
        let print = print(&[CALM, german]);
        assert_eq!((print.samples, print.other_language), (1, 1));
    }

    #[test]
    fn a_text_is_nearer_to_its_own_kind() {
        let halves = |t: &str| (measure(&t[..t.len() / 2]), measure(&t[t.len() / 2..]));
        let doubled = (LOUD.repeat(2), CALM.repeat(2));
        let ((l1, l2), (c1, _)) = (halves(&doubled.0), halves(&doubled.1));
        let reference = ReferenceStyle::shipped();
        let own = style_distance(&l1, &l2, reference).expect("enough words");
        let other = style_distance(&l1, &c1, reference).expect("enough words");
        assert!(own < other, "own {own}, other {other}");
        assert_eq!(style_distance(&measure("Too short."), &l1, reference), None);
    }
}
