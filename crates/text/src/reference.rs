//! How other writers do on each feature: the background a fingerprint, a claim and a style distance are read against.
//! Numbers only. The shipped set is `assets/reference_style.json`, made by `examples/make_reference_style.rs`;
//! evaluations rebuild it without an author by [`ReferenceStyle::from_texts`].

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use idiolect_core::fingerprint::Reference;
use serde::{Deserialize, Serialize};

use crate::catalog::catalog;
use crate::features::{FeatureVector, measure};
use crate::stats::{mean, normal_quantile, variance, weighted_quantile};

/// The kind of writing a reference is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Register {
    /// All kinds, each with the same weight.
    Pooled,
    Essay,
    Email,
    Blog,
    News,
    Chat,
}

/// Values between the 0th and the 100th percentile of texts, every 5 %.
pub const QUANTILES: usize = 21;

/// One feature in one register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureStats {
    /// Mean of the writers' means.
    pub mean: f64,
    /// Standard deviation of the writers' means.
    pub sd: f64,
    /// 10th and 90th percentile of the writers' means.
    pub low: f64,
    pub high: f64,
    /// Percentiles of single texts, [`QUANTILES`] of them.
    pub quantiles: Vec<f64>,
    /// Mean over writers of their mean normal score.
    pub centre: f64,
    /// Mean variance of one writer's texts, in normal scores.
    pub within: f64,
    /// Variance between writers, in normal scores, less what `within` explains.
    pub between: f64,
}

impl FeatureStats {
    /// The share of reference texts below a value, ties counted half, 0-1.
    #[must_use]
    pub fn rank(&self, value: f64) -> f64 {
        let q = &self.quantiles;
        let last = q.len().saturating_sub(1).max(1) as f64;
        let below = q.partition_point(|x| *x < value);
        let through = q.partition_point(|x| *x <= value);
        if below < through {
            // On one or several percentiles at once, as at 0 for rare things.
            return (below + through - 1) as f64 / 2.0 / last;
        }
        match below {
            0 => 0.0,
            n if n == q.len() => 1.0,
            n => {
                let (low, high) = (q[n - 1], q[n]);
                ((n - 1) as f64 + (value - low) / (high - low)) / last
            }
        }
    }

    /// The normal score of a value's rank among reference texts; what lies beyond the outermost texts gives ±2.58.
    #[must_use]
    pub fn normal_score(&self, value: f64) -> f64 {
        normal_quantile(self.rank(value).clamp(0.005, 0.995))
    }

    /// The median text.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantiles
            .get(QUANTILES / 2)
            .copied()
            .unwrap_or(self.mean)
    }

    #[must_use]
    pub fn summary(&self) -> Reference {
        Reference {
            mean: self.mean,
            sd: self.sd,
            low: self.low,
            high: self.high,
        }
    }
}

/// The writers of one register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub register: Register,
    pub writers: usize,
    pub texts: usize,
    /// In catalog order.
    pub features: Vec<FeatureStats>,
}

/// Reference writers by register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceStyle {
    /// Feature ids, in the order of every group's `features`.
    pub ids: Vec<String>,
    /// The pooled group first.
    pub groups: Vec<Group>,
    /// Pairs of features that go together within a writer (|r| ≥ .6): saying one is saying both.
    pub redundant: Vec<[usize; 2]>,
    #[serde(skip, default = "pooled")]
    active: Register,
}

const fn pooled() -> Register {
    Register::Pooled
}

/// A measured text of a known writer.
#[derive(Clone, Debug)]
pub struct Measured<'a> {
    pub writer: &'a str,
    pub register: Register,
    pub vector: FeatureVector,
}

impl ReferenceStyle {
    /// The statistics that come with the studio.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<ReferenceStyle> = OnceLock::new();
        SHIPPED.get_or_init(|| {
            let json = include_str!("../../../assets/reference_style.json");
            // Proven by the test `shipped_statistics_fit_the_catalog`.
            serde_json::from_str(json).unwrap_or_else(|_| Self::from_measured(&[]))
        })
    }

    /// Statistics of given texts: (writer, register, text). Texts below 75 words are left out.
    #[must_use]
    pub fn from_texts(texts: &[(&str, Register, &str)]) -> Self {
        let measured: Vec<Measured<'_>> = texts
            .iter()
            .map(|&(writer, register, text)| Measured {
                writer,
                register,
                vector: measure(text),
            })
            .filter(|m| m.vector.words >= crate::fingerprint::MIN_WORDS)
            .collect();
        Self::from_measured(&measured)
    }

    /// The same from texts already measured. One writer in two registers counts as two writers.
    #[must_use]
    pub fn from_measured(texts: &[Measured<'_>]) -> Self {
        let registers: BTreeMap<Register, HashSet<&str>> =
            texts.iter().fold(BTreeMap::new(), |mut map, t| {
                map.entry(t.register).or_default().insert(t.writer);
                map
            });
        let everyone: Vec<&Measured<'_>> = texts.iter().collect();
        let mut groups = vec![group(Register::Pooled, &everyone)];
        for register in registers.keys().filter(|_| registers.len() > 1) {
            let those: Vec<&Measured<'_>> =
                texts.iter().filter(|t| t.register == *register).collect();
            groups.push(group(*register, &those));
        }
        let redundant = redundant_pairs(texts, &groups[0]);
        let ids = catalog().features().iter().map(|f| f.id.clone()).collect();
        Self {
            ids,
            groups,
            redundant,
            active: Register::Pooled,
        }
    }

    /// The same statistics read against one register; pooled where that register has no writers.
    #[must_use]
    pub fn in_register(&self, register: Register) -> Self {
        Self {
            active: register,
            ..self.clone()
        }
    }

    /// The group in force.
    #[must_use]
    pub fn group(&self) -> &Group {
        self.groups
            .iter()
            .find(|g| g.register == self.active)
            .unwrap_or(&self.groups[0])
    }

    /// Statistics of the feature at `position`, where there are reference writers.
    #[must_use]
    pub fn stats(&self, position: usize) -> Option<&FeatureStats> {
        let group = self.group();
        (group.writers > 1)
            .then(|| group.features.get(position))
            .flatten()
    }

    #[must_use]
    pub fn are_redundant(&self, a: usize, b: usize) -> bool {
        let pair = [a.min(b), a.max(b)];
        self.redundant.binary_search(&pair).is_ok()
    }
}

/// One writer in one register: the rows of their texts and the weight of the writer.
struct Writer<'a> {
    rows: Vec<&'a FeatureVector>,
    weight: f64,
}

/// Writers with weights that give every register the same total, 1.
fn writers<'a>(texts: &[&'a Measured<'_>]) -> Vec<Writer<'a>> {
    let mut by_writer: BTreeMap<(Register, &str), Vec<&'a FeatureVector>> = BTreeMap::new();
    for text in texts {
        by_writer
            .entry((text.register, text.writer))
            .or_default()
            .push(&text.vector);
    }
    let mut in_register: BTreeMap<Register, usize> = BTreeMap::new();
    for (register, _) in by_writer.keys() {
        *in_register.entry(*register).or_insert(0) += 1;
    }
    by_writer
        .into_iter()
        .map(|((register, _), rows)| Writer {
            rows,
            weight: 1.0 / in_register[&register] as f64,
        })
        .collect()
}

fn weighted_mean(pairs: &[(f64, f64)]) -> f64 {
    let total: f64 = pairs.iter().map(|(_, w)| w).sum();
    if total > 0.0 {
        pairs.iter().map(|(v, w)| v * w).sum::<f64>() / total
    } else {
        0.0
    }
}

/// Weighted variance with the effective sample size in place of n − 1.
fn weighted_variance(pairs: &[(f64, f64)]) -> f64 {
    let m = weighted_mean(pairs);
    let total: f64 = pairs.iter().map(|(_, w)| w).sum();
    let squares: f64 = pairs.iter().map(|(_, w)| w * w).sum();
    let effective = total - squares / total;
    if total > 0.0 && effective > 0.0 {
        pairs.iter().map(|(v, w)| w * (v - m).powi(2)).sum::<f64>() / effective
    } else {
        0.0
    }
}

fn group(register: Register, texts: &[&Measured<'_>]) -> Group {
    let writers = writers(texts);
    let features = (0..catalog().len())
        .map(|f| feature_stats(&writers, f))
        .collect();
    Group {
        register,
        writers: writers.len(),
        texts: texts.len(),
        features,
    }
}

fn feature_stats(writers: &[Writer<'_>], f: usize) -> FeatureStats {
    let values = |w: &Writer<'_>| w.rows.iter().map(|r| r.values[f]).collect::<Vec<f64>>();
    let mut means: Vec<(f64, f64)> = writers
        .iter()
        .map(|w| (mean(&values(w)), w.weight))
        .collect();
    means.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut all: Vec<(f64, f64)> = writers
        .iter()
        .flat_map(|w| {
            values(w)
                .into_iter()
                .map(|v| (v, w.weight / w.rows.len() as f64))
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let quantiles = (0..QUANTILES)
        .map(|i| weighted_quantile(&all, i as f64 / (QUANTILES - 1) as f64))
        .collect();
    let mut stats = FeatureStats {
        mean: weighted_mean(&means),
        sd: weighted_variance(&means).sqrt(),
        low: weighted_quantile(&means, 0.1),
        high: weighted_quantile(&means, 0.9),
        quantiles,
        centre: 0.0,
        within: 1.0,
        between: MIN_BETWEEN,
    };
    let scores: Vec<(Vec<f64>, f64)> = writers
        .iter()
        .map(|w| {
            (
                values(w).iter().map(|v| stats.normal_score(*v)).collect(),
                w.weight,
            )
        })
        .collect();
    let within: Vec<(f64, f64)> = scores
        .iter()
        .filter(|(z, _)| z.len() > 1)
        .map(|(z, w)| (variance(z), *w))
        .collect();
    let centres: Vec<(f64, f64)> = scores.iter().map(|(z, w)| (mean(z), *w)).collect();
    let noise: Vec<(f64, f64)> = scores
        .iter()
        .map(|(z, w)| (1.0 / z.len().max(1) as f64, *w))
        .collect();
    stats.centre = weighted_mean(&centres);
    if !within.is_empty() {
        stats.within = weighted_mean(&within).max(MIN_WITHIN);
    }
    stats.between =
        (weighted_variance(&centres) - stats.within * weighted_mean(&noise)).max(MIN_BETWEEN);
    stats
}

/// Floors that keep a feature nobody uses from looking perfectly steady.
const MIN_WITHIN: f64 = 0.05;
const MIN_BETWEEN: f64 = 0.005;

/// From this correlation within a writer on, two features say the same.
const REDUNDANT: f64 = 0.6;

fn redundant_pairs(texts: &[Measured<'_>], pooled: &Group) -> Vec<[usize; 2]> {
    let mut by_writer: BTreeMap<(Register, &str), Vec<Vec<f64>>> = BTreeMap::new();
    for text in texts {
        let scores = pooled
            .features
            .iter()
            .zip(&text.vector.values)
            .map(|(s, v)| s.normal_score(*v))
            .collect();
        by_writer
            .entry((text.register, text.writer))
            .or_default()
            .push(scores);
    }
    let size = pooled.features.len();
    // Centred columns of unit length, one a feature.
    let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(texts.len()); size];
    for rows in by_writer.values() {
        for (f, column) in columns.iter_mut().enumerate() {
            let m = rows.iter().map(|r| r[f]).sum::<f64>() / rows.len() as f64;
            column.extend(rows.iter().map(|r| r[f] - m));
        }
    }
    for column in &mut columns {
        let norm = column.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm > 0.0 {
            column.iter_mut().for_each(|v| *v /= norm);
        }
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    (0..size)
        .flat_map(|a| (a + 1..size).map(move |b| [a, b]))
        .filter(|&[a, b]| dot(&columns[a], &columns[b]).abs() >= REDUNDANT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(quantiles: Vec<f64>) -> FeatureStats {
        FeatureStats {
            mean: 0.0,
            sd: 1.0,
            low: 0.0,
            high: 1.0,
            quantiles,
            centre: 0.0,
            within: 1.0,
            between: 1.0,
        }
    }

    #[test]
    fn ranks_interpolate_and_halve_ties() {
        let even = stats((0..QUANTILES).map(|i| i as f64).collect());
        assert!(
            (even.rank(7.5) - 0.375).abs() < 1e-12,
            "between two percentiles"
        );
        assert_eq!((even.rank(-1.0), even.rank(99.0)), (0.0, 1.0));
        let rare = stats(
            (0..QUANTILES)
                .map(|i| if i < 15 { 0.0 } else { i as f64 })
                .collect(),
        );
        assert!(
            (rare.rank(0.0) - 0.35).abs() < 1e-12,
            "0 stands in the middle of the texts that have none"
        );
        assert!(
            rare.normal_score(1e9) < 2.6,
            "one odd text must not count as a hundred"
        );
    }

    #[test]
    fn shipped_statistics_fit_the_catalog() {
        let shipped = ReferenceStyle::shipped();
        let ids: Vec<&str> = catalog().features().iter().map(|f| f.id.as_str()).collect();
        assert_eq!(
            shipped.ids, ids,
            "the catalog changed: run the example make_reference_style again"
        );
        assert!(
            shipped.group().writers >= 50,
            "the pooled group has {} writers",
            shipped.group().writers
        );
        for group in &shipped.groups {
            assert_eq!(group.features.len(), ids.len());
            for (id, s) in ids.iter().zip(&group.features) {
                assert_eq!(s.quantiles.len(), QUANTILES, "{id}");
                assert!(s.quantiles.is_sorted(), "{id}: percentiles must rise");
                assert!(
                    s.within > 0.0 && s.between > 0.0 && s.sd >= 0.0,
                    "{id}: variances must be positive"
                );
            }
        }
        assert!(
            shipped.redundant.is_sorted(),
            "pairs are looked up by bisection"
        );
    }

    #[test]
    fn writers_weigh_by_register_not_by_number_of_texts() {
        let row = |text: &str| measure(text);
        let loud = "No! Yes! Why! Go! See! Run! Sit! Eat!";
        let calm = "It was so. It went on. They sat. We ate.";
        let mut texts = vec![Measured {
            writer: "a",
            register: Register::Email,
            vector: row(loud),
        }];
        for writer in ["b", "c", "d"] {
            texts.push(Measured {
                writer,
                register: Register::News,
                vector: row(calm),
            });
        }
        let style = ReferenceStyle::from_measured(&texts);
        let position = catalog().position("punct.exclamation").expect("a feature");
        let stats = style.stats(position).expect("there are writers");
        assert!(
            (stats.mean - 500.0).abs() < 1e-9,
            "one register of two marks every word, got {}",
            stats.mean
        );
        let news = style.in_register(Register::News);
        assert_eq!(
            news.stats(position).map(|s| s.mean),
            Some(0.0),
            "nobody exclaims in the news"
        );
        assert_eq!(
            style.in_register(Register::Chat).group().register,
            Register::Pooled,
            "no such register: pooled"
        );
    }
}
