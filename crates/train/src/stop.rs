//! When training has done enough: held-out loss that rises, and drafts that copy more while they sound more alike.

use serde::{Deserialize, Serialize};

use crate::checkpoint::exact;

/// What drafts at a checkpoint were like. Meters are the caller's; these are their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// How close they are to held-out texts in style, higher is closer.
    #[serde(with = "exact")]
    pub style: f64,
    /// Share of their 8-word runs that stand in a text that is learned from.
    #[serde(with = "exact")]
    pub copied: f64,
}

/// Why a run stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The held-out loss rose at two measurements running.
    HeldOut,
    /// Style and copying went up together, beyond what is tolerated.
    Leakage,
}

impl Reason {
    /// As a person reads it.
    pub fn words(self) -> &'static str {
        match self {
            Self::HeldOut => {
                "The held-out loss rose twice, so training stopped and the best was kept."
            }
            Self::Leakage => {
                "Drafts began to copy the texts, so training stopped and the best before that was kept."
            }
        }
    }
}

/// Share of 8-word runs that is no sign of copying: in a draft of a hundred words, one turn of phrase of eight or nine.
pub const BY_CHANCE: f64 = 0.02;

/// Whether drafts get closer by copying ("style up, leakage up"): at both of the last two readings more was copied than at
/// the one before and more than `tolerated`, while style went up over the three.
pub fn is_copying(readings: &[Reading], tolerated: f64) -> bool {
    let [.., a, b, c] = readings else {
        return false;
    };
    a.copied < b.copied && b.copied < c.copied && b.copied > tolerated && c.style > a.style
}

/// What the run has seen so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Lowest held-out loss; the starting point's at first.
    #[serde(with = "exact::option")]
    pub lowest: Option<f64>,
    /// Measurements running that were no better.
    pub rises: u32,
    /// Readings in their order.
    pub readings: Vec<Reading>,
}

impl Watch {
    /// A measurement and the reading taken with it. True where these are the best weights so far: never weights that copy.
    /// `counts` is false for measurements too early to stop over.
    pub fn sees(&mut self, held_out: Option<f64>, reading: Option<Reading>, counts: bool) -> bool {
        self.readings.extend(reading);
        let copies = reading.is_some_and(|r| r.copied > BY_CHANCE);
        if self.lowest.is_none() {
            // Nothing is held out: the latest weights that do not copy.
            return reading.is_some() && !copies;
        }
        let (Some(now), Some(lowest)) = (held_out, self.lowest) else {
            return false;
        };
        if now < lowest {
            self.rises = 0;
            // Where copying keeps the weights from being kept, the loss still fell: no reason to stop.
            if copies {
                return false;
            }
            self.lowest = Some(now);
            return true;
        }
        self.rises += u32::from(counts);
        false
    }

    /// Whether it is time to stop.
    pub fn verdict(&self) -> Option<Reason> {
        if self.rises >= 2 {
            Some(Reason::HeldOut)
        } else if is_copying(&self.readings, BY_CHANCE) {
            Some(Reason::Leakage)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(of: &[(f64, f64)]) -> Vec<Reading> {
        of.iter()
            .map(|&(style, copied)| Reading { style, copied })
            .collect()
    }

    #[test]
    fn copying_is_style_and_leakage_up_together_beyond_chance() {
        let copying = |of: &[(f64, f64)]| is_copying(&readings(of), BY_CHANCE);
        assert!(copying(&[(0.5, 0.0), (0.6, 0.03), (0.7, 0.08)]));
        assert!(
            !copying(&[(0.5, 0.0), (0.6, 0.01), (0.7, 0.02)]),
            "by chance"
        );
        assert!(
            !copying(&[(0.5, 0.0), (0.6, 0.03), (0.5, 0.08)]),
            "no closer"
        );
        assert!(
            !copying(&[(0.5, 0.03), (0.6, 0.08), (0.7, 0.05)]),
            "less again"
        );
        assert!(!copying(&[(0.6, 0.03), (0.7, 0.08)]), "too few readings");
    }

    #[test]
    fn two_rises_stop_and_a_fall_between_them_does_not() {
        let mut watch = Watch {
            lowest: Some(3.0),
            ..Watch::default()
        };
        assert!(!watch.sees(Some(3.1), None, false), "too early to count");
        assert_eq!(watch.rises, 0);
        assert!(watch.sees(Some(2.5), None, true));
        assert!(!watch.sees(Some(2.6), None, true));
        assert!(!watch.sees(None, None, true), "nothing was measured");
        assert_eq!(watch.verdict(), None);
        assert!(watch.sees(Some(2.4), None, true));
        assert!(!watch.sees(Some(2.5), None, true));
        assert!(!watch.sees(Some(2.45), None, true));
        assert_eq!(watch.verdict(), Some(Reason::HeldOut));
    }

    #[test]
    fn weights_that_copy_are_not_the_best() {
        let mut watch = Watch {
            lowest: Some(3.0),
            ..Watch::default()
        };
        let of = readings(&[(0.5, 0.0), (0.6, 0.03), (0.7, 0.08)]);
        assert!(watch.sees(Some(2.9), Some(of[0]), true));
        assert!(!watch.sees(Some(2.8), Some(of[1]), true));
        assert!(!watch.sees(Some(2.7), Some(of[2]), true));
        assert_eq!(watch.lowest, Some(2.9));
        assert_eq!(watch.verdict(), Some(Reason::Leakage));
        let mut watch = Watch::default();
        let seen = of.iter().map(|r| watch.sees(None, Some(*r), true));
        assert_eq!(seen.collect::<Vec<_>>(), [true, false, false]);
    }
}
