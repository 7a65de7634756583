//! A voter that is a counted rule, for the demo and for tests; its votes are never mixed with a person's.

use idiolect_core::vote::{Choice, Voter};
use idiolect_text::measure;

/// Prefers the draft whose counted habits are closer to texts of an author that nothing else has seen.
///
/// Distance = weighted mean over features of |φ − centre| / sd, each at most 3; a feature weighs by how far the
/// author's mean lies from the other writers', so that habits count and what all share does not.
#[derive(Debug, Clone)]
pub struct StyleVoter {
    centre: Vec<f64>,
    spread: Vec<f64>,
    weight: Vec<f64>,
}

/// Deviations and weights are cut here, in standard deviations.
const CUT: f64 = 3.0;

impl StyleVoter {
    /// The rule's name, stored with every vote.
    pub const RULE: &'static str = "closer in counted habits to held-out texts";

    /// A voter after the author's held-out texts. `others` are texts of other writers, for spread and weights; without
    /// any, all features weigh the same.
    pub fn new(held_out: &[&str], others: &[&str]) -> Self {
        let own: Vec<Vec<f64>> = held_out.iter().map(|t| measure(t).transformed()).collect();
        let other: Vec<Vec<f64>> = others.iter().map(|t| measure(t).transformed()).collect();
        let all: Vec<&Vec<f64>> = own.iter().chain(&other).collect();
        let n = all.first().map_or(0, |v| v.len());
        let mean = |rows: &[&Vec<f64>], f: usize| {
            rows.iter().map(|r| r[f]).sum::<f64>() / rows.len().max(1) as f64
        };
        let own: Vec<&Vec<f64>> = own.iter().collect();
        let other: Vec<&Vec<f64>> = other.iter().collect();
        let mut voter = Self {
            centre: Vec::new(),
            spread: Vec::new(),
            weight: Vec::new(),
        };
        for f in 0..n {
            let middle = mean(&all, f);
            let variance = all.iter().map(|r| (r[f] - middle).powi(2)).sum::<f64>()
                / (all.len().saturating_sub(1)).max(1) as f64;
            let spread = variance.sqrt();
            let centre = mean(&own, f);
            let weight = if spread <= 1e-9 {
                0.0
            } else if other.is_empty() {
                1.0
            } else {
                ((centre - mean(&other, f)) / spread).abs().min(CUT)
            };
            voter.centre.push(centre);
            voter.spread.push(spread.max(1e-9));
            voter.weight.push(weight);
        }
        voter
    }

    /// How far a text is from the author's habits, in standard deviations.
    pub fn distance(&self, text: &str) -> f64 {
        let features = measure(text).transformed();
        let total: f64 = self.weight.iter().sum();
        let sum: f64 = features
            .iter()
            .enumerate()
            .map(|(f, v)| self.weight[f] * ((v - self.centre[f]) / self.spread[f]).abs().min(CUT))
            .sum();
        if total > 0.0 { sum / total } else { 0.0 }
    }

    /// The pick between two drafts; a tie only when both are equally far.
    pub fn choose(&self, left: &str, right: &str) -> Choice {
        match self.distance(left).total_cmp(&self.distance(right)) {
            std::cmp::Ordering::Less => Choice::Left,
            std::cmp::Ordering::Greater => Choice::Right,
            std::cmp::Ordering::Equal => Choice::Tie,
        }
    }

    /// As votes name it.
    pub fn voter() -> Voter {
        Voter::Simulated {
            rule: Self::RULE.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    #[test]
    fn it_picks_the_text_of_its_own_author() {
        let texts = |author: usize, held_out: bool| -> Vec<&str> {
            demo::authors()[author]
                .texts
                .iter()
                .filter(|t| t.held_out == held_out)
                .map(|t| t.text.as_str())
                .collect()
        };
        for own in [0, 1] {
            let other = 1 - own;
            let voter = StyleVoter::new(&texts(own, true), &texts(other, true));
            for (a, b) in texts(own, false).iter().zip(texts(other, false)) {
                assert_eq!(voter.choose(a, b), Choice::Left, "on “{}…”", &a[..30]);
                assert_eq!(voter.choose(b, a), Choice::Right, "order must not matter");
                assert_eq!(voter.choose(a, a), Choice::Tie);
            }
        }
    }
}
