//! What is learned from: the loss of texts, pairs and thumbs as numbers, and its slopes. No tensors here: every objective
//! is a function of the summed log-probabilities of whole answers, so the model's part is to give these and to take back
//! a weight for each.

use serde::{Deserialize, Serialize};

/// An answer under the model that is trained and under the one it started from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    /// Summed log-probability of its tokens, nats.
    pub log_prob: f64,
    /// How many tokens that sums up.
    pub tokens: usize,
    /// The same sum under the reference: the model before the run.
    pub reference: f64,
}

impl Sequence {
    fn gained(&self) -> f64 {
        self.log_prob - self.reference
    }

    fn count(&self) -> f64 {
        self.tokens.max(1) as f64
    }
}

/// An example with its figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scored {
    /// A text of the person's.
    Text(Sequence),
    /// A text that was preferred to another.
    Pair {
        /// The one that was chosen.
        chosen: Sequence,
        /// The other.
        rejected: Sequence,
    },
    /// A text that got a thumb.
    Thumb {
        /// The text.
        text: Sequence,
        /// Up rather than down.
        good: bool,
    },
}

/// What a run minimises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Negative log-likelihood of the person's texts, per token.
    Sft,
    /// Direct preference optimization (arXiv 2305.18290).
    Dpo {
        /// How dearly leaving the reference is paid.
        beta: f64,
        /// Share of votes taken to be mistaken, 0 to below .5.
        smoothing: f64,
        /// Log-probabilities per token, so that length itself earns nothing.
        length_normalised: bool,
    },
    /// Odds-ratio preference optimization (arXiv 2403.07691): needs no reference.
    Orpo {
        /// Weight of the odds beside the loss of the chosen text.
        beta: f64,
    },
    /// Kahneman-Tversky optimization (arXiv 2402.01306): single thumbs.
    Kto {
        /// How dearly leaving the reference is paid.
        beta: f64,
        /// Weight of a thumb up.
        good_weight: f64,
        /// Weight of a thumb down.
        bad_weight: f64,
    },
}

/// An example's part in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Term {
    /// Loss; for a text the sum over its tokens.
    pub loss: f64,
    /// Its slopes with respect to the log-probability of the text or the chosen one, and of the rejected one.
    pub slopes: [f64; 2],
    /// What a step's sum of losses and slopes is divided by: the sum of these.
    pub weight: f64,
    /// By how much the example is on the right side, in the loss's own units; 0 for a text.
    pub margin: f64,
    /// 1 on the right side, 0 on the wrong one, a half on the line; 0 for a text.
    pub right: f64,
}

impl Objective {
    /// Its name in settings and tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Dpo { .. } => "dpo",
            Self::Orpo { .. } => "orpo",
            Self::Kto { .. } => "kto",
        }
    }

    /// Whether it looks at the model before the run.
    pub fn needs_reference(&self) -> bool {
        matches!(self, Self::Dpo { .. } | Self::Kto { .. })
    }

    /// An example's loss and slopes. `shift` is KTO's zero point ([`zero_point`]), which is a constant of the step. A
    /// text is scored by its likelihood whatever the objective: held-out texts are watched so while votes are learned.
    /// `None` for an example this objective cannot learn from.
    pub fn term(&self, example: &Scored, shift: f64) -> Option<Term> {
        match (*self, *example) {
            (_, Scored::Text(text)) => Some(Term {
                loss: -text.log_prob,
                slopes: [-1.0, 0.0],
                weight: text.tokens as f64,
                margin: 0.0,
                right: 0.0,
            }),
            (
                Self::Dpo {
                    beta,
                    smoothing,
                    length_normalised,
                },
                Scored::Pair { chosen, rejected },
            ) => {
                let scale = |s: &Sequence| {
                    if length_normalised {
                        beta / s.count()
                    } else {
                        beta
                    }
                };
                let margin =
                    scale(&chosen) * chosen.gained() - scale(&rejected) * rejected.gained();
                let loss =
                    -(1.0 - smoothing) * log_sigmoid(margin) - smoothing * log_sigmoid(-margin);
                let slope = smoothing * sigmoid(margin) - (1.0 - smoothing) * sigmoid(-margin);
                Some(one(
                    loss,
                    [slope * scale(&chosen), -slope * scale(&rejected)],
                    margin,
                ))
            }
            (Self::Orpo { beta }, Scored::Pair { chosen, rejected }) => {
                let (w, l) = (Odds::of(&chosen), Odds::of(&rejected));
                let margin = w.log_odds - l.log_odds;
                let loss = -w.mean - beta * log_sigmoid(margin);
                let slope = -beta * sigmoid(-margin);
                let slopes = [
                    (slope * w.slope - 1.0) / chosen.count(),
                    -slope * l.slope / rejected.count(),
                ];
                Some(one(loss, slopes, margin))
            }
            (
                Self::Kto {
                    beta,
                    good_weight,
                    bad_weight,
                },
                Scored::Thumb { text, good },
            ) => {
                let (weight, sign) = if good {
                    (good_weight, 1.0)
                } else {
                    (bad_weight, -1.0)
                };
                let margin = sign * beta * (text.gained() - shift);
                let chance = sigmoid(margin);
                let slope = -weight * sign * beta * chance * (1.0 - chance);
                // 1 − σ(x) as σ(−x), which keeps its digits.
                Some(one(weight * sigmoid(-margin), [slope, 0.0], margin))
            }
            _ => None,
        }
    }
}

fn one(loss: f64, slopes: [f64; 2], margin: f64) -> Term {
    Term {
        loss,
        slopes,
        weight: 1.0,
        margin,
        right: if margin == 0.0 {
            0.5
        } else {
            f64::from(u8::from(margin > 0.0))
        },
    }
}

/// KTO's zero point: how far the model has gone from the reference on answers to other prompts, at least 0. An estimate of
/// the divergence between the two, not differentiated. 0 without any.
pub fn zero_point(mismatched: &[Sequence]) -> f64 {
    if mismatched.is_empty() {
        return 0.0;
    }
    let sum: f64 = mismatched.iter().map(Sequence::gained).sum();
    (sum / mismatched.len() as f64).max(0.0)
}

/// KTO's class weights for so many thumbs up and down: the rarer kind weighs as much as the other in all, at most four
/// times a single one. 1 and 1 where there is but one kind.
pub fn thumb_weights(good: usize, bad: usize) -> (f64, f64) {
    let most = good.max(bad) as f64;
    let weight = |n: usize| {
        if good == 0 || bad == 0 {
            1.0
        } else {
            (most / n as f64).min(4.0)
        }
    };
    (weight(good), weight(bad))
}

/// A mean log-probability, its log-odds and the slope of one in the other.
struct Odds {
    mean: f64,
    log_odds: f64,
    slope: f64,
}

impl Odds {
    fn of(s: &Sequence) -> Self {
        // A text that is certain has infinite odds.
        let mean = (s.log_prob / s.count()).min(-1e-9);
        let other = -mean.exp_m1();
        Self {
            mean,
            log_odds: mean - other.ln(),
            slope: 1.0 / other,
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Figures of tests/references/training.py.
    fn recorded(of: &str) -> Vec<Value> {
        let figures: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/training.json")).unwrap();
        figures[of].as_array().unwrap().clone()
    }

    fn number(value: &Value) -> f64 {
        value.as_f64().unwrap()
    }

    fn sequences(case: &Value) -> Vec<Sequence> {
        let one = |s: &Value| Sequence {
            log_prob: number(&s[0]),
            tokens: s[1].as_u64().unwrap() as usize,
            reference: number(&s[2]),
        };
        case["sequences"]
            .as_array()
            .unwrap()
            .iter()
            .map(one)
            .collect()
    }

    fn pair(case: &Value) -> Scored {
        let both = sequences(case);
        Scored::Pair {
            chosen: both[0],
            rejected: both[1],
        }
    }

    /// Both sides work in float64.
    fn agrees(objective: Objective, example: Scored, shift: f64, case: &Value) {
        let term = objective.term(&example, shift).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + b.abs());
        assert!(close(term.loss, number(&case["loss"])), "{term:?} {case}");
        assert!(
            close(term.margin, number(&case["margin"])),
            "{term:?} {case}"
        );
        for (slope, expected) in term.slopes.iter().zip(case["slopes"].as_array().unwrap()) {
            assert!(close(*slope, number(expected)), "{term:?} {case}");
        }
    }

    #[test]
    fn losses_and_slopes_are_those_that_torch_computes() {
        for case in recorded("dpo") {
            let objective = Objective::Dpo {
                beta: number(&case["beta"]),
                smoothing: number(&case["smoothing"]),
                length_normalised: case["length_normalised"].as_bool().unwrap(),
            };
            agrees(objective, pair(&case), 0.0, &case);
        }
        for case in recorded("orpo") {
            let objective = Objective::Orpo {
                beta: number(&case["beta"]),
            };
            agrees(objective, pair(&case), 0.0, &case);
        }
        for case in recorded("kto") {
            let objective = Objective::Kto {
                beta: number(&case["beta"]),
                good_weight: number(&case["good_weight"]),
                bad_weight: number(&case["bad_weight"]),
            };
            let thumb = Scored::Thumb {
                text: sequences(&case)[0],
                good: case["good"].as_bool().unwrap(),
            };
            agrees(objective, thumb, number(&case["shift"]), &case);
        }
    }

    const DPO: Objective = Objective::Dpo {
        beta: 0.5,
        smoothing: 0.0,
        length_normalised: false,
    };

    fn sequence(log_prob: f64, tokens: usize, reference: f64) -> Sequence {
        Sequence {
            log_prob,
            tokens,
            reference,
        }
    }

    #[test]
    fn hand_worked_values() {
        // Nothing moved: half right, ln 2, and both texts are pulled by half of beta.
        let still = sequence(-7.0, 3, -7.0);
        let pair = Scored::Pair {
            chosen: still,
            rejected: still,
        };
        let term = DPO.term(&pair, 0.0).unwrap();
        assert!((term.loss - 2f64.ln()).abs() < 1e-15);
        assert_eq!(
            (term.slopes, term.margin, term.right),
            ([-0.25, 0.25], 0.0, 0.5)
        );
        // .5 · ((−6 + 7) − (−9 + 7)) = 1.5.
        let pair = Scored::Pair {
            chosen: sequence(-6.0, 3, -7.0),
            rejected: sequence(-9.0, 5, -7.0),
        };
        let term = DPO.term(&pair, 0.0).unwrap();
        assert_eq!((term.margin, term.right), (1.5, 1.0));
        assert!((term.loss - (1.0 + (-1.5f64).exp()).ln()).abs() < 1e-15);
        // Means of ln ½ and ln ¼ have odds 1 and ⅓.
        let pair = Scored::Pair {
            chosen: sequence(-2.0 * 2f64.ln(), 2, 0.0),
            rejected: sequence(-4f64.ln(), 1, 0.0),
        };
        let term = Objective::Orpo { beta: 1.0 }.term(&pair, 0.0).unwrap();
        assert!((term.margin - 3f64.ln()).abs() < 1e-12);
        assert!((term.loss - (2f64.ln() + (4.0f64 / 3.0).ln())).abs() < 1e-12);
        let text = Objective::Sft.term(&Scored::Text(still), 0.0).unwrap();
        assert_eq!((text.loss, text.weight), (7.0, 3.0));
    }

    #[test]
    fn slopes_match_finite_differences() {
        let objectives = [
            DPO,
            Objective::Dpo {
                beta: 3.0,
                smoothing: 0.2,
                length_normalised: true,
            },
            Objective::Orpo { beta: 0.7 },
            Objective::Kto {
                beta: 0.3,
                good_weight: 1.5,
                bad_weight: 0.8,
            },
            Objective::Sft,
        ];
        let (a, b) = (sequence(-12.0, 9, -14.0), sequence(-8.0, 4, -7.5));
        for objective in objectives {
            let example = |da: f64, db: f64| {
                let moved = |s: Sequence, d: f64| Sequence {
                    log_prob: s.log_prob + d,
                    ..s
                };
                match objective {
                    Objective::Sft => Scored::Text(moved(a, da)),
                    Objective::Kto { .. } => Scored::Thumb {
                        text: moved(a, da),
                        good: false,
                    },
                    _ => Scored::Pair {
                        chosen: moved(a, da),
                        rejected: moved(b, db),
                    },
                }
            };
            let loss = |da, db| objective.term(&example(da, db), 0.4).unwrap().loss;
            let h = 1e-5;
            let slopes = objective.term(&example(0.0, 0.0), 0.4).unwrap().slopes;
            let measured = [
                (loss(h, 0.0) - loss(-h, 0.0)) / (2.0 * h),
                (loss(0.0, h) - loss(0.0, -h)) / (2.0 * h),
            ];
            for (slope, measured) in slopes.iter().zip(measured) {
                assert!(
                    (slope - measured).abs() < 1e-8,
                    "{objective:?}: {slope} computed, {measured} measured"
                );
            }
        }
    }

    #[test]
    fn extremes_stay_numbers() {
        let sure = sequence(0.0, 5, -1e5);
        let never = sequence(-1e5, 5, 0.0);
        for (chosen, rejected) in [(sure, never), (never, sure)] {
            for objective in [DPO, Objective::Orpo { beta: 0.1 }] {
                let term = objective
                    .term(&Scored::Pair { chosen, rejected }, 0.0)
                    .unwrap();
                assert!(
                    term.loss.is_finite() && term.slopes.iter().all(|s| s.is_finite()),
                    "{objective:?} {term:?}"
                );
            }
        }
    }

    #[test]
    fn examples_of_the_wrong_kind_are_not_learned_from() {
        let s = sequence(-1.0, 1, -1.0);
        let pair = Scored::Pair {
            chosen: s,
            rejected: s,
        };
        let thumb = Scored::Thumb {
            text: s,
            good: true,
        };
        assert_eq!(Objective::Sft.term(&pair, 0.0), None);
        assert_eq!(DPO.term(&thumb, 0.0), None);
    }

    #[test]
    fn the_zero_point_is_a_mean_and_never_below_zero() {
        let up = sequence(-5.0, 3, -8.0);
        let down = sequence(-9.0, 3, -8.0);
        assert_eq!(zero_point(&[up, down]), 1.0);
        assert_eq!(zero_point(&[down]), 0.0);
        assert_eq!(zero_point(&[]), 0.0);
        assert_eq!(thumb_weights(6, 3), (1.0, 2.0));
        assert_eq!(thumb_weights(50, 1), (1.0, 4.0));
        assert_eq!(thumb_weights(3, 0), (1.0, 1.0));
    }
}
