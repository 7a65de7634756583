//! Whether a score says something stable about a writer: pure statistics over authors.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Split-half reliability of one score: the texts of every author are cut into random halves, the halves' means are
/// correlated over authors, and so on as in [`stepped_up`], over `splits` seeded splits. `None` with fewer than 3 authors
/// of 2 texts or without variance; NaN scores are skipped.
pub fn split_half(authors: &[Vec<f64>], splits: u32, seed: u64) -> Option<f64> {
    let authors: Vec<Vec<f64>> = authors
        .iter()
        .map(|a| a.iter().copied().filter(|v| v.is_finite()).collect())
        .filter(|a: &Vec<f64>| a.len() >= 2)
        .collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let halvings: Vec<Vec<(f64, f64)>> = (0..splits)
        .map(|_| {
            authors
                .iter()
                .map(|scores| {
                    let order = shuffled(scores.len(), &mut random);
                    let (a, b) = order.split_at(scores.len() / 2);
                    let mean = |half: &[usize]| {
                        half.iter().map(|&i| scores[i]).sum::<f64>() / half.len() as f64
                    };
                    (mean(a), mean(b))
                })
                .collect()
        })
        .collect();
    stepped_up(&halvings)
}

/// Reliability from `halvings[split][author]`, the means of an author's two halves: their correlation over authors, averaged
/// over the splits and stepped up by Spearman-Brown, r' = 2r / (1 + r). `None` where no split has three authors that vary;
/// an author with a half that is NaN sits that split out.
pub fn stepped_up(halvings: &[Vec<(f64, f64)>]) -> Option<f64> {
    let correlations: Vec<f64> = halvings
        .iter()
        .filter_map(|authors| {
            let (first, second): (Vec<f64>, Vec<f64>) = authors
                .iter()
                .filter(|(a, b)| a.is_finite() && b.is_finite())
                .copied()
                .unzip();
            (first.len() >= 3)
                .then(|| correlation(&first, &second))
                .flatten()
        })
        .collect();
    if correlations.is_empty() {
        return None;
    }
    let r = correlations.iter().sum::<f64>() / correlations.len() as f64;
    // Below −1/3 the formula runs off; "worse than nothing" is all that can be said.
    Some(if r <= -1.0 / 3.0 {
        -1.0
    } else {
        2.0 * r / (1.0 + r)
    })
}

/// Cohorts that [`luckiest`] simulates.
const COHORTS: u32 = 200;
/// Halvings of each, in [`reached_by_chance`].
const HALVINGS: u32 = 20;

/// The split-half reliability that the best of `dimensions` reaches in 5 of 100 cohorts of so many authors and texts whose
/// scores are nothing but noise, by simulation. Up to here a high reliability says nothing: with few authors and many
/// dimensions some are always high. Each text is taken to be in a cell shared by all authors, whose mean is taken out.
pub fn reached_by_chance(authors: usize, texts: usize, dimensions: usize, seed: u64) -> f64 {
    luckiest(dimensions, seed, |random| {
        let mut scores: Vec<Vec<Vec<f64>>> = (0..authors)
            .map(|_| (0..texts).map(|_| vec![noise(random)]).collect())
            .collect();
        without_cells(&mut scores);
        let column: Vec<Vec<f64>> = scores.iter().map(|texts| texts.concat()).collect();
        split_half(&column, HALVINGS, random.random())
    })
}

/// What the best of `dimensions` draws of `value` reaches in 5 of 100 cohorts.
pub fn luckiest(
    dimensions: usize,
    seed: u64,
    mut value: impl FnMut(&mut ChaCha8Rng) -> Option<f64>,
) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut best: Vec<f64> = (0..COHORTS)
        .map(|_| {
            (0..dimensions)
                .filter_map(|_| value(&mut random))
                .fold(-1.0, f64::max)
        })
        .collect();
    best.sort_by(f64::total_cmp);
    best[(best.len() as f64 * 0.95) as usize]
}

/// Takes out what a cell, the same kind of text of every author, does to everyone: `scores[author][cell][dimension]`.
/// Without this, two halves of an author share no cell while halves of two authors do, which makes a writer look unlike
/// themselves.
pub fn without_cells(scores: &mut [Vec<Vec<f64>>]) {
    let cells = scores.iter().map(Vec::len).min().unwrap_or(0);
    for cell in 0..cells {
        for d in 0..scores[0][cell].len() {
            let mean = scores.iter().map(|texts| texts[cell][d]).sum::<f64>() / scores.len() as f64;
            for texts in scores.iter_mut() {
                texts[cell][d] -= mean;
            }
        }
    }
}

/// Nearly normal: the sum of twelve uniform numbers, less six.
pub fn noise(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

/// Pearson's correlation; `None` without variance.
pub fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    if x.len() != y.len() || x.len() < 2 {
        return None;
    }
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xy += (a - mx) * (b - my);
        xx += (a - mx).powi(2);
        yy += (b - my).powi(2);
    }
    (xx > 1e-18 && yy > 1e-18).then(|| xy / (xx * yy).sqrt())
}

/// Own profile against wrong authors' profiles on unseen texts, one number an author in each list.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileMargin {
    /// Mean closeness of an author's unseen texts to their own profile.
    pub own: Vec<f64>,
    /// Mean closeness to every other author's profile in turn, averaged.
    pub wrong: Vec<f64>,
    /// Share of splits whose own profile was the closest of all.
    pub closest: Vec<f64>,
    /// What guessing would give.
    pub chance: f64,
}

impl ProfileMargin {
    /// Own minus wrong, one number an author: > 0 = the profile carries something personal.
    pub fn margins(&self) -> Vec<f64> {
        self.own
            .iter()
            .zip(&self.wrong)
            .map(|(o, w)| o - w)
            .collect()
    }

    /// Share of (author, split) whose own profile was the closest.
    pub fn top1(&self) -> f64 {
        self.closest.iter().sum::<f64>() / self.closest.len().max(1) as f64
    }
}

/// Own against wrong authors where the texts of every author are cut into random halves, one a profile and one unseen:
/// `authors[a][text][dimension]`, NaN = not scored. `None` with fewer than 2 authors of 2 texts.
pub fn profile_margin(authors: &[Vec<Vec<f64>>], splits: u32, seed: u64) -> Option<ProfileMargin> {
    let authors: Vec<&Vec<Vec<f64>>> = authors.iter().filter(|a| a.len() >= 2).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let splits: Vec<Vec<(Vec<f64>, Vec<f64>)>> = (0..splits)
        .map(|_| {
            authors
                .iter()
                .map(|texts| {
                    let order = shuffled(texts.len(), &mut random);
                    let (a, b) = order.split_at(texts.len() / 2);
                    (mean_vector(texts, a), mean_vector(texts, b))
                })
                .collect()
        })
        .collect();
    margin(&splits)
}

/// Closeness (minus the mean squared distance over dimensions) of unseen texts to profiles, from
/// `splits[split][author]` = (profile, unseen). An author whose profile or unseen side is all NaN sits that split out.
/// `None` with fewer than 2 authors.
pub fn margin(splits: &[Vec<(Vec<f64>, Vec<f64>)>]) -> Option<ProfileMargin> {
    let n = splits.first()?.len();
    if n < 2 {
        return None;
    }
    let (mut own, mut wrong, mut closest) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut counted = vec![0.0; n];
    for halves in splits {
        for (a, (_, unseen)) in halves.iter().enumerate() {
            let Some(mine) = closeness(&halves[a].0, unseen) else {
                continue;
            };
            let others: Vec<f64> = halves
                .iter()
                .enumerate()
                .filter(|(b, _)| *b != a)
                .filter_map(|(_, (profile, _))| closeness(profile, unseen))
                .collect();
            if others.is_empty() {
                continue;
            }
            counted[a] += 1.0;
            own[a] += mine;
            wrong[a] += others.iter().sum::<f64>() / others.len() as f64;
            closest[a] += f64::from(u8::from(others.iter().all(|c| *c < mine)));
        }
    }
    let keep: Vec<usize> = (0..n).filter(|&a| counted[a] > 0.0).collect();
    let mean = |sums: &[f64]| keep.iter().map(|&a| sums[a] / counted[a]).collect();
    (keep.len() >= 2).then(|| ProfileMargin {
        own: mean(&own),
        wrong: mean(&wrong),
        closest: mean(&closest),
        chance: 1.0 / keep.len() as f64,
    })
}

fn shuffled(n: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(random);
    order
}

/// Mean of some texts' scores, a dimension at a time; NaN where none of them was scored.
pub fn mean_vector(texts: &[Vec<f64>], which: &[usize]) -> Vec<f64> {
    let width = texts.first().map_or(0, Vec::len);
    (0..width)
        .map(|d| {
            let known: Vec<f64> = which
                .iter()
                .map(|&t| texts[t][d])
                .filter(|v| v.is_finite())
                .collect();
            known.iter().sum::<f64>() / known.len() as f64
        })
        .collect()
}

fn closeness(a: &[f64], b: &[f64]) -> Option<f64> {
    let squares: Vec<f64> = a
        .iter()
        .zip(b)
        .map(|(x, y)| (x - y).powi(2))
        .filter(|v| v.is_finite())
        .collect();
    (!squares.is_empty()).then(|| -squares.iter().sum::<f64>() / squares.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 authors of 8 texts: a stable part of standard deviation `stable`, noise of standard deviation 1 (both uniform).
    fn people(stable: f64) -> Vec<Vec<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let spread = 12f64.sqrt();
        let mut draw = move || (random.random::<f64>() - 0.5) * spread;
        (0..400)
            .map(|_| {
                let own = stable * draw();
                (0..8).map(|_| own + draw()).collect()
            })
            .collect()
    }

    #[test]
    fn reliability_grows_with_what_is_stable_in_a_writer() {
        let none = split_half(&people(0.0), 20, 1).unwrap();
        let some = split_half(&people(0.5), 20, 1).unwrap();
        let much = split_half(&people(3.0), 20, 1).unwrap();
        assert!(none.abs() < 0.25, "noise alone: {none}");
        // Theory: between / (between + within / 8): .25 / (.25 + .125) = .667.
        assert!((some - 0.667).abs() < 0.1, "half stable: {some}");
        assert!(much > 0.95, "nearly all stable: {much}");
        assert!(none < some && some < much);
    }

    #[test]
    fn the_same_seed_gives_the_same_number_and_too_little_gives_none() {
        let p = people(0.5);
        assert_eq!(split_half(&p, 5, 3), split_half(&p, 5, 3));
        assert_eq!(
            split_half(&p[..2], 5, 3),
            None,
            "two authors correlate perfectly or not at all"
        );
        assert_eq!(
            split_half(&vec![vec![1.0; 4]; 5], 5, 3),
            None,
            "no variance"
        );
        assert_eq!(
            split_half(&[vec![f64::NAN; 4], vec![], vec![1.0]], 5, 3),
            None
        );
    }

    #[test]
    fn correlation_agrees_with_a_hand_computed_value() {
        let r = correlation(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]).unwrap();
        assert!((r - 0.5).abs() < 1e-12, "got {r}");
    }

    #[test]
    fn an_own_profile_is_closer_only_when_authors_differ() {
        let with = |distance: f64| {
            let mut random = ChaCha8Rng::seed_from_u64(2);
            let authors: Vec<Vec<Vec<f64>>> = (0..6)
                .map(|a| {
                    (0..6)
                        .map(|_| vec![a as f64 * distance + random.random::<f64>(), f64::NAN])
                        .collect()
                })
                .collect();
            profile_margin(&authors, 10, 1).unwrap()
        };
        let far = with(5.0);
        assert_eq!(far.top1(), 1.0);
        assert!(far.margins().iter().all(|m| *m > 0.0), "{far:?}");
        let same = with(0.0);
        assert!(
            same.top1() < 0.5,
            "authors alike cannot be told apart: {}",
            same.top1()
        );
        assert!((same.chance - 1.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn one_split_by_hand() {
        // Profiles 0 and 2, unseen 0 and 4: own −0 and −4, wrong −4 and −16; the third author has no unseen text.
        let side = |v: f64| vec![v, f64::NAN];
        let split = vec![
            (side(0.0), side(0.0)),
            (side(2.0), side(4.0)),
            (side(f64::NAN), side(f64::NAN)),
        ];
        let m = margin(&[split]).unwrap();
        assert_eq!(
            (m.own.as_slice(), m.wrong.as_slice()),
            (&[0.0, -4.0][..], &[-4.0, -16.0][..])
        );
        assert_eq!((m.top1(), m.chance), (1.0, 0.5));
        assert_eq!(m.margins(), [4.0, 12.0]);
        let halving = vec![(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (f64::NAN, 9.0)];
        let stepped = stepped_up(&[halving]).unwrap();
        assert!(
            (stepped - 2.0 * 0.5 / 1.5).abs() < 1e-12,
            "r = .5, got {stepped}"
        );
    }

    #[test]
    fn cells_are_taken_out() {
        let mut scores = vec![vec![vec![1.0], vec![5.0]], vec![vec![3.0], vec![9.0]]];
        without_cells(&mut scores);
        assert_eq!(scores, [[[-1.0], [-2.0]], [[1.0], [2.0]]]);
    }
}
