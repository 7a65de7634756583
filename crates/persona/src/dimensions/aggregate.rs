//! Standings of several texts joined into one reading with its interval.

use idiolect_core::{
    Interval,
    reading::{Reading, ReadingStatus},
    space::Dimension,
};

/// One text's standing on a dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Standard deviations from the reference mean.
    pub z: f64,
    /// Worth in full texts.
    pub weight: f64,
}

/// The joined standing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Weighted mean.
    pub mean: f64,
    /// Standard error of `mean`.
    pub standard_error: f64,
    /// Full texts' worth of evidence, the sum of weights.
    pub evidence: f64,
}

/// The reference spread (1 by construction) counts as much as this many texts when the spread between a person's own
/// texts is estimated: two texts that happen to agree must not look certain.
const PRIOR_TEXTS: f64 = 4.0;

/// Two-sided 95 % of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// Both ends of an interval this close to zero mean "no leaning", which is also a finding.
const NO_LEANING: f64 = 0.25;

/// Joins standings: weighted mean; variance between texts shrunk to the reference's,
/// s² = (ν₀ + Σ w (z − m)²) / (ν₀ + Σ w − 1); standard error s / √Σw. `None` without evidence.
pub fn estimate(standings: &[Standing], widening: f64) -> Option<Estimate> {
    let evidence: f64 = standings.iter().map(|s| s.weight).sum();
    if evidence <= 0.0 {
        return None;
    }
    let mean = standings.iter().map(|s| s.weight * s.z).sum::<f64>() / evidence;
    let scatter: f64 = standings
        .iter()
        .map(|s| s.weight * (s.z - mean).powi(2))
        .sum();
    // One text has no scatter of its own: its degree of freedom went into the mean.
    let variance = (PRIOR_TEXTS + scatter) / (PRIOR_TEXTS + (evidence - 1.0).max(0.0));
    Some(Estimate {
        mean,
        standard_error: widening * (variance / evidence).sqrt(),
        evidence,
    })
}

/// How far a dimension is to be believed.
#[derive(Debug, Clone, Copy)]
pub struct Trust {
    /// Split-half reliability over writers; `None` = never measured.
    pub reliability: Option<f64>,
    /// What it has to reach.
    pub least: f64,
}

/// The reading of one dimension, settings not yet applied.
pub fn reading(
    dimension: &Dimension,
    standings: &[Standing],
    trust: Trust,
    widening: f64,
) -> Reading {
    let blank = blank(dimension);
    let Some(estimate) = estimate(standings, widening) else {
        return Reading {
            note: "No text says anything about this yet.".to_owned(),
            ..blank
        };
    };
    let score = estimate.mean.tanh();
    let low = (estimate.mean - Z95 * estimate.standard_error).tanh();
    let high = (estimate.mean + Z95 * estimate.standard_error).tanh();
    let leans = low > 0.0 || high < 0.0;
    let flat = low > -NO_LEANING && high < NO_LEANING;
    let (status, note) = match trust.reliability {
        None => (
            ReadingStatus::NotEnoughEvidence,
            "How far a model's reading of this can be trusted has not been measured.".to_owned(),
        ),
        Some(r) if r < trust.least => (
            ReadingStatus::NotEnoughEvidence,
            format!(
                "The default model reads this too unsteadily to be believed (reliability {:.2}, {:.2} needed).",
                r.max(0.0),
                trust.least
            ),
        ),
        Some(_) if leans => (ReadingStatus::Known, String::new()),
        Some(_) if flat => (ReadingStatus::Known, "No leaning either way.".to_owned()),
        Some(_) => (
            ReadingStatus::NotEnoughEvidence,
            "The texts point both ways so far.".to_owned(),
        ),
    };
    let direction = match status {
        ReadingStatus::Known if low > 0.0 => 1,
        ReadingStatus::Known if high < 0.0 => -1,
        _ => 0,
    };
    Reading {
        status,
        score,
        interval: Interval::new(low, high),
        effective_evidence: estimate.evidence,
        direction,
        note,
        ..blank
    }
}

/// A reading of which nothing is known.
pub fn blank(dimension: &Dimension) -> Reading {
    Reading {
        id: dimension.id.clone(),
        index: dimension.index,
        subject: dimension.subject,
        status: ReadingStatus::NotEnoughEvidence,
        score: 0.0,
        interval: Interval::new(-1.0, 1.0),
        effective_evidence: 0.0,
        direction: 0,
        override_score: None,
        object: None,
        evidence: Vec::new(),
        note: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idiolect_core::space::find;

    fn standings(z: &[f64]) -> Vec<Standing> {
        z.iter().map(|&z| Standing { z, weight: 1.0 }).collect()
    }

    #[test]
    fn the_estimate_agrees_with_hand_computed_values() {
        let e = estimate(&standings(&[1.0, 2.0, 3.0, 2.0]), 1.0).unwrap();
        assert_eq!((e.mean, e.evidence), (2.0, 4.0));
        // (4 + 1 + 0 + 1 + 0) / (4 + 3) = 6/7; √(6/7 / 4).
        assert!((e.standard_error - (6.0f64 / 7.0 / 4.0).sqrt()).abs() < 1e-12);
        let wide = estimate(&standings(&[1.0, 2.0, 3.0, 2.0]), 1.5).unwrap();
        assert!((wide.standard_error / e.standard_error - 1.5).abs() < 1e-12);
        assert_eq!(estimate(&[], 1.0), None);
    }

    fn trust(reliability: Option<f64>) -> Trust {
        Trust {
            reliability,
            least: 0.5,
        }
    }

    #[test]
    fn more_texts_that_agree_narrow_the_interval() {
        let d = find("extraversion").unwrap();
        let few = reading(d, &standings(&[0.9; 2]), trust(Some(0.8)), 1.0);
        let many = reading(d, &standings(&[0.9; 12]), trust(Some(0.8)), 1.0);
        let width = |r: &Reading| r.interval.high - r.interval.low;
        assert!(width(&many) < width(&few), "{few:?} {many:?}");
        assert_eq!(
            (few.status, few.direction),
            (ReadingStatus::NotEnoughEvidence, 0),
            "two texts at .9 do not clear zero"
        );
        assert_eq!((many.status, many.direction), (ReadingStatus::Known, 1));
        assert!(many.score > 0.0 && many.interval.contains(many.score));
    }

    #[test]
    fn an_unsteady_dimension_stays_unknown_and_a_tight_zero_is_known() {
        let d = find("order").unwrap();
        for reliability in [None, Some(0.49)] {
            let r = reading(d, &standings(&[2.0; 12]), trust(reliability), 1.0);
            assert_eq!(
                r.status,
                ReadingStatus::NotEnoughEvidence,
                "{reliability:?}"
            );
            assert_eq!((r.direction, r.effective_score()), (0, 0.0));
            assert!(!r.note.is_empty(), "the person is told why");
        }
        let zero = reading(d, &standings(&[0.0; 60]), trust(Some(0.9)), 1.0);
        assert_eq!((zero.status, zero.direction), (ReadingStatus::Known, 0));
        let mixed: Vec<f64> = (0..60)
            .map(|i| if i % 2 == 0 { 2.0 } else { -2.0 })
            .collect();
        let mixed = reading(d, &standings(&mixed), trust(Some(0.9)), 1.0);
        assert_eq!(mixed.status, ReadingStatus::NotEnoughEvidence, "{mixed:?}");
    }
}
