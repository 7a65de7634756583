//! Logits to a token: repetition penalty, temperature, top-k, top-p and min-p, in that order, then one seeded draw.
//!
//! Pure and deterministic: the same logits, history and seed give the same token. Candidates are drawn in order of
//! their probability, so that two runs with one seed whose distributions are close draw alike.

use idiolect_core::draft::Sampling;
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

use crate::{LlmError, Result, Token};

/// How many of the newest tokens the repetition penalty looks at.
pub const PENALTY_WINDOW: usize = 64;

/// A drawn token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Which.
    pub token: Token,
    /// Its natural-log probability under the model's own distribution, before penalty, temperature and cuts.
    pub log_prob: f32,
}

/// The settings of one text and its own stream of randomness.
#[derive(Debug, Clone)]
pub struct Sampler {
    settings: Sampling,
    random: ChaCha8Rng,
}

/// A token that may be drawn, with its unnormalised probability (the likeliest has 1).
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: usize,
    weight: f64,
}

impl Sampler {
    /// A sampler that starts at the settings' seed.
    pub fn new(settings: &Sampling) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(settings.seed),
            settings: settings.clone(),
        }
    }

    /// Draws a token from `logits` (one a vocabulary entry). `history` is the text so far, newest last; only its last
    /// [`PENALTY_WINDOW`] tokens matter. Logits that are not numbers count as impossible.
    ///
    /// # Errors
    /// When no logit is finite.
    pub fn draw(&mut self, logits: &[f32], history: &[Token]) -> Result<Drawn> {
        // One number a token, whatever the settings, so that a change of cuts does not shift the later draws.
        let u: f64 = self.random.random();
        let normaliser = log_sum_exp(logits)
            .ok_or_else(|| LlmError::Failed("no logit is a finite number".into()))?;
        let penalised = self.penalised(logits, history);
        let token = if self.settings.temperature > 0.0 {
            pick(&self.candidates(&penalised), u)
        } else {
            likeliest(&penalised)
        };
        Ok(Drawn {
            token: token as Token,
            log_prob: (f64::from(logits[token]) - normaliser) as f32,
        })
    }

    /// Divides the odds of recently seen tokens by the penalty: subtracts its logarithm from their logits, once a
    /// token however often it was seen.
    fn penalised(&self, logits: &[f32], history: &[Token]) -> Vec<f32> {
        let mut penalised: Vec<f32> = logits
            .iter()
            .map(|&l| if l.is_nan() { f32::NEG_INFINITY } else { l })
            .collect();
        let penalty = self.settings.repetition_penalty;
        if penalty > 0.0 && penalty != 1.0 {
            let mut recent = history[history.len().saturating_sub(PENALTY_WINDOW)..].to_vec();
            recent.sort_unstable();
            recent.dedup();
            for token in recent {
                if let Some(logit) = penalised.get_mut(token as usize) {
                    *logit -= penalty.ln() as f32;
                }
            }
        }
        penalised
    }

    /// What is left after the cuts, likeliest first. Never empty: every cut keeps the likeliest.
    fn candidates(&self, logits: &[f32]) -> Vec<Candidate> {
        let s = &self.settings;
        let best = f64::from(logits[likeliest(logits)]);
        // Where top-p does not need the whole mass, what min-p cuts anyway is cut here, by logit: this saves sorting and
        // exponentiating most of the vocabulary.
        let least = if s.min_p > 0.0 && s.top_p >= 1.0 {
            best + s.temperature * s.min_p.min(1.0).ln()
        } else {
            f64::NEG_INFINITY
        };
        let mut candidates: Vec<Candidate> = logits
            .iter()
            .enumerate()
            .filter(|(_, logit)| f64::from(**logit) >= least)
            .map(|(token, &logit)| Candidate {
                token,
                weight: ((f64::from(logit) - best) / s.temperature).exp(),
            })
            .filter(|c| c.weight > 0.0)
            .collect();
        candidates
            .sort_unstable_by(|a, b| b.weight.total_cmp(&a.weight).then(a.token.cmp(&b.token)));
        if s.top_k > 0 {
            candidates.truncate(s.top_k as usize);
        }
        if s.top_p < 1.0 {
            let wanted = s.top_p.max(0.0) * candidates.iter().map(|c| c.weight).sum::<f64>();
            let mut mass = 0.0;
            let keep = candidates
                .iter()
                .position(|c| {
                    mass += c.weight;
                    mass >= wanted
                })
                .map_or(candidates.len(), |last| last + 1);
            candidates.truncate(keep);
        }
        candidates.retain(|c| c.weight >= s.min_p.min(1.0));
        candidates
    }
}

/// The first candidate at which the running share of the mass exceeds `u` in [0, 1).
fn pick(candidates: &[Candidate], u: f64) -> usize {
    let target = u * candidates.iter().map(|c| c.weight).sum::<f64>();
    let mut mass = 0.0;
    for c in candidates {
        mass += c.weight;
        if mass > target {
            return c.token;
        }
    }
    candidates.last().map_or(0, |c| c.token)
}

/// The first index of the largest value.
pub fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, &l) in logits.iter().enumerate() {
        if l > logits[best] || logits[best].is_nan() {
            best = i;
        }
    }
    best
}

/// Logarithm of the sum of exponentials, `None` when nothing is finite.
fn log_sum_exp(logits: &[f32]) -> Option<f64> {
    let max = logits
        .iter()
        .copied()
        .filter(|l| !l.is_nan())
        .fold(f32::NEG_INFINITY, f32::max);
    max.is_finite().then(|| {
        let max = f64::from(max);
        let sum: f64 = logits
            .iter()
            .filter(|l| !l.is_nan())
            .map(|&l| (f64::from(l) - max).exp())
            .sum();
        max + sum.ln()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Sampling {
        Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 7,
            ..Sampling::default()
        }
    }

    fn share(settings: &Sampling, logits: &[f32], history: &[Token]) -> Vec<f64> {
        let mut sampler = Sampler::new(settings);
        let mut counts = vec![0.0; logits.len()];
        let n = 20_000;
        for _ in 0..n {
            counts[sampler.draw(logits, history).unwrap().token as usize] += 1.0 / f64::from(n);
        }
        counts
    }

    #[test]
    fn draws_follow_the_softmax_and_repeat_with_the_seed() {
        let logits = [0.0, 1.0, 2.0];
        let shares = share(&plain(), &logits, &[]);
        // softmax(0, 1, 2); 20,000 draws have a standard error below .004.
        for (seen, expected) in shares.iter().zip([0.0900, 0.2447, 0.6652]) {
            assert!((seen - expected).abs() < 0.02, "{shares:?}");
        }
        assert_eq!(
            shares,
            share(&plain(), &logits, &[]),
            "same seed, same draws"
        );
        let other = Sampling { seed: 8, ..plain() };
        assert_ne!(
            shares,
            share(&other, &logits, &[]),
            "another seed, other draws"
        );
    }

    #[test]
    fn log_prob_is_the_models_own() {
        let settings = Sampling {
            temperature: 0.1,
            top_k: 1,
            repetition_penalty: 3.0,
            ..plain()
        };
        let drawn = Sampler::new(&settings)
            .draw(&[0.0, 1.0, 2.0], &[0])
            .unwrap();
        assert_eq!(drawn.token, 2, "the likeliest");
        assert!(
            (drawn.log_prob - 0.6652_f32.ln()).abs() < 1e-3,
            "{}",
            drawn.log_prob
        );
    }

    #[test]
    fn cuts_cut() {
        let logits = [0.0, 1.0, 2.0, 3.0];
        let top_k = share(
            &Sampling {
                top_k: 2,
                ..plain()
            },
            &logits,
            &[],
        );
        assert_eq!((top_k[0], top_k[1]), (0.0, 0.0), "only two are left");
        assert!(top_k[2] > 0.2, "and both are drawn");
        // softmax: .032 .087 .237 .644
        let top_p = share(
            &Sampling {
                top_p: 0.7,
                ..plain()
            },
            &logits,
            &[],
        );
        assert!(
            top_p[1] == 0.0 && top_p[2] > 0.0,
            "the first two reach .7: {top_p:?}"
        );
        let min_p = share(
            &Sampling {
                min_p: 0.2,
                ..plain()
            },
            &logits,
            &[],
        );
        assert!(
            min_p[1] == 0.0 && min_p[2] > 0.0,
            "e^-2 < .2 < e^-1: {min_p:?}"
        );
        let both = share(
            &Sampling {
                min_p: 0.2,
                top_p: 0.99,
                ..plain()
            },
            &logits,
            &[],
        );
        assert!(
            both[1] == 0.0 && both[2] > 0.0,
            "min-p also after top-p: {both:?}"
        );
    }

    #[test]
    fn the_penalty_divides_the_odds_of_recent_tokens_once() {
        let settings = Sampling {
            repetition_penalty: 2.0,
            ..plain()
        };
        let shares = share(&settings, &[0.0, 0.0], &[1, 1, 1]);
        assert!(
            (shares[1] - 1.0 / 3.0).abs() < 0.02,
            "odds 1:2, not 1:8: {shares:?}"
        );
        let mut long_ago = vec![1];
        long_ago.extend([5; PENALTY_WINDOW]);
        let shares = share(&settings, &[0.0, 0.0], &long_ago);
        assert!(
            (shares[1] - 0.5).abs() < 0.02,
            "what lies before the window is forgotten"
        );
    }

    #[test]
    fn odd_numbers_are_survived() {
        let greedy = Sampling {
            temperature: 0.0,
            ..plain()
        };
        let drawn = Sampler::new(&greedy)
            .draw(&[f32::NAN, 1.0, 1.0], &[])
            .unwrap();
        assert_eq!(drawn.token, 1, "the first of equals; NaN never");
        assert!(
            Sampler::new(&plain())
                .draw(&[f32::NAN, f32::NEG_INFINITY], &[])
                .is_err(),
            "nothing to draw"
        );
        assert!(
            Sampler::new(&plain()).draw(&[], &[]).is_err(),
            "no vocabulary"
        );
    }
}
