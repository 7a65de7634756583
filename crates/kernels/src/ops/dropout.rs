//! Dropout masks that are computed from where a value stands, so that a pass that is run again draws the same.

/// What a value is multiplied by: 0 with some probability, else what keeps the mean.
///
/// The mask is a function of the key, the row and the column alone: it needs no state, and rows may be done in any order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutMask {
    /// Sixteen random bits below this are a zero.
    threshold: u32,
    factor: f32,
    key: u64,
}

/// Values that share a random number.
const VALUES: usize = 4;

impl DropoutMask {
    /// A mask that zeroes values with `probability` (in steps of 1/65536), drawn by what `place` says: seed, step, layer and
    /// whatever else tells masks apart.
    ///
    /// # Panics
    /// When the probability is not at least 0 and below 1.
    pub fn new(probability: f32, place: &[u64]) -> Self {
        assert!(
            (0.0..1.0).contains(&probability),
            "a probability of {probability}"
        );
        let threshold = ((probability * 65536.0).round() as u32).min(65535);
        let key = place
            .iter()
            .fold(0x9e37_79b9_7f4a_7c15, |key, &part| mix(key ^ mix(part)));
        Self {
            threshold,
            factor: 65536.0 / (65536 - threshold) as f32,
            key,
        }
    }

    /// Multiplies the values of a row by the mask.
    pub fn apply(&self, row: usize, values: &mut [f32]) {
        self.apply_from(row, 0, values);
    }

    /// The same with the values from column `from`, a multiple of 4, on.
    pub(crate) fn apply_from(&self, row: usize, from: usize, values: &mut [f32]) {
        debug_assert!(from.is_multiple_of(VALUES));
        let key = mix(self.key ^ row as u64);
        for (i, values) in (from / VALUES..).zip(values.chunks_mut(VALUES)) {
            let mut bits = mix(key.wrapping_add(i as u64));
            for value in values {
                *value *= match (bits & 0xffff) as u32 {
                    drawn if drawn < self.threshold => 0.0,
                    _ => self.factor,
                };
                bits >>= 16;
            }
        }
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"): every bit of the result depends on
/// every bit of the counter.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(mask: &DropoutMask) -> Vec<f32> {
        let mut values = vec![1.0; 200 * 301];
        for (row, values) in values.chunks_exact_mut(301).enumerate() {
            mask.apply(row, values);
        }
        values
    }

    #[test]
    fn the_mean_stays_and_the_share_is_as_asked() {
        let values = rows(&DropoutMask::new(0.25, &[1, 2]));
        let n = values.len() as f32;
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f32 / n;
        // Six standard deviations of so many draws.
        assert!(
            (zeros - 0.25).abs() < 6.0 * (0.25 * 0.75 / n).sqrt(),
            "{zeros}"
        );
        let others = values.iter().find(|v| **v != 0.0).unwrap();
        assert!((others * 0.75 - 1.0).abs() < 1e-4);
    }

    #[test]
    fn masks_repeat_and_differ_by_place_row_and_column() {
        let mask = rows(&DropoutMask::new(0.5, &[1, 2]));
        assert_eq!(mask, rows(&DropoutMask::new(0.5, &[1, 2])));
        for other in [&[2_u64, 1][..], &[1, 3], &[1]] {
            let other = rows(&DropoutMask::new(0.5, other));
            let equal = mask.iter().zip(&other).filter(|(a, b)| a == b).count();
            let share = equal as f32 / mask.len() as f32;
            assert!((share - 0.5).abs() < 0.02, "independent: {share}");
        }
        assert_ne!(mask[..301], mask[301..602]);
        assert_ne!(mask[..4], mask[4..8]);
    }

    #[test]
    fn nothing_is_dropped_at_zero() {
        assert!(rows(&DropoutMask::new(0.0, &[])).iter().all(|v| *v == 1.0));
    }
}
