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
        let normaliser = log_sum_exp(logits).ok_or_else(nothing_to_draw)?;
        let token = self.choose(&mut logits.to_vec(), history)?;
        Ok(Drawn {
            token,
            log_prob: (f64::from(logits[token as usize]) - normaliser) as f32,
        })
    }

    /// As [`Sampler::draw`], from logits that need not be the model's own and are left penalised.
    ///
    /// # Errors
    /// When no logit is finite.
    pub fn choose(&mut self, logits: &mut [f32], history: &[Token]) -> Result<Token> {
        // One number a token, whatever the settings, so that a change of cuts does not shift the later draws.
        let u: f64 = self.random.random();
        self.penalise(logits, history);
        let best = likeliest(logits);
        if !logits.get(best).is_some_and(|l| l.is_finite()) {
            return Err(nothing_to_draw());
        }
        let token = if self.settings.temperature > 0.0 {
            self.candidates(logits, f64::from(logits[best])).pick(u)
        } else {
            best
        };
        Ok(token as Token)
    }

    /// Divides the odds of recently seen tokens by the penalty: subtracts its logarithm from their logits, once a
    /// token however often it was seen.
    fn penalise(&self, logits: &mut [f32], history: &[Token]) {
        for logit in logits.iter_mut() {
            *logit = if logit.is_nan() {
                f32::NEG_INFINITY
            } else {
                *logit
            };
        }
        let penalty = self.settings.repetition_penalty;
        if penalty > 0.0 && penalty != 1.0 {
            let mut recent = history[history.len().saturating_sub(PENALTY_WINDOW)..].to_vec();
            recent.sort_unstable();
            recent.dedup();
            for token in recent {
                if let Some(logit) = logits.get_mut(token as usize) {
                    *logit -= penalty.ln() as f32;
                }
            }
        }
    }

    /// What is left after the cuts. Never empty: every cut keeps the likeliest.
    fn candidates(&self, logits: &[f32], best: f64) -> Ranked {
        let s = &self.settings;
        // Where top-p does not need the whole mass, what min-p cuts anyway is cut here, by logit: this saves exponentiating
        // most of the vocabulary.
        let least = if s.min_p > 0.0 && s.top_p >= 1.0 {
            best + s.temperature * s.min_p.min(1.0).ln()
        } else {
            best - s.temperature * NEGLIGIBLE
        };
        // Rounded down, so that nothing is lost in the comparison: the exact cut by weight comes below.
        let rough = (least as f32).next_down();
        let candidates = logits.iter().enumerate().filter(|(_, l)| **l >= rough);
        let mut ranked = Ranked::new(
            candidates
                .filter(|(_, logit)| f64::from(**logit) >= least)
                .map(|(token, &logit)| Candidate {
                    token,
                    weight: ((f64::from(logit) - best) / s.temperature).exp(),
                })
                .collect(),
        );
        if s.top_k > 0 {
            ranked.keep(s.top_k as usize);
        }
        if s.top_p < 1.0 {
            let wanted = s.top_p.max(0.0) * ranked.mass();
            let last = ranked.reaching(|mass| mass >= wanted);
            ranked.keep(last + 1);
        }
        ranked.candidates.retain(|c| c.weight >= s.min_p.min(1.0));
        ranked.sorted = ranked.sorted.min(ranked.candidates.len());
        ranked
    }
}

/// Weights are `exp` of minus this and less where a candidate is so far below the likeliest that it is never drawn.
const NEGLIGIBLE: f64 = 50.0;
/// Candidates put in order at first; of what is left, eight times as many at every further step.
const FIRST_RANKED: usize = 64;

/// A token that may be drawn, with its unnormalised probability (the likeliest has 1).
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: usize,
    weight: f64,
}

/// Candidates, the likeliest first as far as anybody looked: putting the whole vocabulary in order takes longer than
/// computing its logits.
struct Ranked {
    candidates: Vec<Candidate>,
    sorted: usize,
}

impl Ranked {
    fn new(candidates: Vec<Candidate>) -> Self {
        Self {
            candidates,
            sorted: 0,
        }
    }

    fn mass(&self) -> f64 {
        self.candidates.iter().map(|c| c.weight).sum()
    }

    /// Puts at least `wanted` candidates in order.
    fn sort(&mut self, wanted: usize) {
        if wanted <= self.sorted {
            return;
        }
        let order = |a: &Candidate, b: &Candidate| {
            b.weight.total_cmp(&a.weight).then(a.token.cmp(&b.token))
        };
        let rest = &mut self.candidates[self.sorted..];
        let more = (wanted - self.sorted).min(rest.len());
        if more < rest.len() {
            rest.select_nth_unstable_by(more, order);
        }
        rest[..more].sort_unstable_by(order);
        self.sorted += more;
    }

    /// Keeps the `n` likeliest.
    fn keep(&mut self, n: usize) {
        if n < self.candidates.len() {
            self.sort(n);
            self.candidates.truncate(n);
        }
    }

    /// The first place, in order, at which the mass up to it is enough; the last place where it never is.
    fn reaching(&mut self, enough: impl Fn(f64) -> bool) -> usize {
        let (mut mass, mut at) = (0.0, 0);
        let mut step = FIRST_RANKED;
        while at < self.candidates.len() {
            if at == self.sorted {
                self.sort(at + step);
                step *= 8;
            }
            mass += self.candidates[at].weight;
            if enough(mass) {
                return at;
            }
            at += 1;
        }
        self.candidates.len().saturating_sub(1)
    }

    /// The first candidate at which the running share of the mass exceeds `u` in [0, 1).
    fn pick(mut self, u: f64) -> usize {
        let target = u * self.mass();
        let at = self.reaching(|mass| mass > target);
        self.candidates.get(at).map_or(0, |c| c.token)
    }
}

fn nothing_to_draw() -> LlmError {
    LlmError::Failed("no logit is a finite number".into())
}

/// Logits moved away from a second stream's: `own + strength (own − other)`. With `plausible` above 0, tokens that have less
/// than this share of the likeliest one's probability in `own` become impossible ([`crate::Against`]).
pub fn away_from(own: &[f32], other: &[f32], strength: f32, plausible: f32) -> Vec<f32> {
    let least = if plausible > 0.0 && !own.is_empty() {
        own[likeliest(own)] + plausible.min(1.0).ln()
    } else {
        f32::NEG_INFINITY
    };
    let moved = own.iter().zip(other).map(|(&own, &other)| {
        if own >= least {
            own + strength * (own - other)
        } else {
            f32::NEG_INFINITY
        }
    });
    moved.collect()
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

    /// What [`Ranked`] saves must not change a draw: the whole vocabulary in order, every cut as it is written.
    #[test]
    fn draws_are_those_of_the_plain_rule() {
        let mut noise = ChaCha8Rng::seed_from_u64(3);
        let logits: Vec<f32> = (0..3000).map(|_| noise.random_range(-9.0..3.0)).collect();
        let settings = [
            (0, 1.0, 0.0),
            (0, 0.9, 0.0),
            (700, 0.97, 0.001),
            (5, 1.0, 0.0),
            (0, 0.99, 0.01),
        ];
        for (top_k, top_p, min_p) in settings {
            let settings = Sampling {
                top_k,
                top_p,
                min_p,
                temperature: 1.7,
                ..plain()
            };
            let mut sampler = Sampler::new(&settings);
            let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
            for _ in 0..200 {
                let u: f64 = random.random();
                let expected = plainly(&settings, &logits, u);
                assert_eq!(sampler.draw(&logits, &[]).unwrap().token as usize, expected);
            }
        }
    }

    fn plainly(s: &Sampling, logits: &[f32], u: f64) -> usize {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut all: Vec<(f64, usize)> = logits
            .iter()
            .enumerate()
            .map(|(i, &l)| ((f64::from(l - best) / s.temperature).exp(), i))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if s.top_k > 0 {
            all.truncate(s.top_k as usize);
        }
        let whole: f64 = all.iter().map(|c| c.0).sum();
        let mut mass = 0.0;
        let mut kept = Vec::new();
        for c in all {
            if mass < s.top_p * whole && c.0 >= s.min_p {
                kept.push(c);
            }
            mass += c.0;
        }
        let target = u * kept.iter().map(|c| c.0).sum::<f64>();
        let mut mass = 0.0;
        for c in &kept {
            mass += c.0;
            if mass > target {
                return c.1;
            }
        }
        kept.last().unwrap().1
    }

    #[test]
    fn a_second_stream_is_moved_away_from() {
        let (own, other) = ([1.0, 0.0, -9.0], [2.0, 0.0, -99.0]);
        assert_eq!(away_from(&own, &other, 0.0, 0.0), own, "no strength");
        assert_eq!(
            away_from(&own, &other, -1.0, 0.0),
            other,
            "all the way over"
        );
        let away = away_from(&own, &other, 1.0, 0.0);
        assert_eq!(away, [0.0, 0.0, 81.0], "what both find unlikely wins");
        let plausible = away_from(&own, &other, 1.0, 0.1);
        assert_eq!(
            plausible,
            [0.0, 0.0, f32::NEG_INFINITY],
            "unless it may not"
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
