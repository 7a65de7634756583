//! What turns raw scores into standings: means, spreads and reliabilities, for one model and prompt version.
//!
//! The shipped file holds numbers only. For another model means and spreads come from our own reference passages, and its
//! reliabilities are unknown: what one model reads steadily says nothing of another.

use std::{collections::BTreeMap, sync::OnceLock};

use idiolect_core::space::{DIMENSIONS, space};
use idiolect_llm::ModelInfo;
use serde::{Deserialize, Serialize};

use crate::dimensions::{LEAST_RELIABILITY, TextScores};

/// Texts a dimension's noisy channel needs for its spread: with fewer it would be a guess.
const CHANNEL_TEXTS: usize = 12;

/// Mean and spread of a raw score over reference texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    /// Mean over texts.
    pub mean: f64,
    /// Standard deviation over texts, within and between writers together.
    pub sd: f64,
}

impl Standard {
    /// Of these values; `None` for fewer than two or without spread.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        if values.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        (sd > 1e-9).then_some(Self { mean, sd })
    }

    /// Standard deviations from the mean.
    pub fn z(&self, value: f64) -> f64 {
        (value - self.mean) / self.sd
    }
}

/// What is known of one dimension's scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DimensionStandard {
    /// Of the forward source.
    pub forward: Standard,
    /// Of the noisy channel, where enough reference texts had a sentence for it.
    pub channel: Option<Standard>,
    /// Split-half reliability over writers; `None` = never measured.
    pub reliability: Option<f64>,
}

/// Standards of all dimensions for one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// One entry a dimension, in order.
    pub dimensions: Vec<Option<DimensionStandard>>,
    /// Standard errors are multiplied by this: 1 where the numbers were measured on this model.
    pub widening: f64,
    /// Below this reliability a dimension says "not enough evidence" whatever its interval.
    pub least_reliability: f64,
}

/// The file of `assets/dimension_calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationFile {
    /// Model the numbers hold for.
    pub model: String,
    /// Bytes of its file: another quantization is another model.
    pub model_bytes: u64,
    /// What they hold for, see [`CalibrationFile::todays_version`].
    pub prompt_version: String,
    /// SHA-256 of the files the numbers were fitted on.
    pub fitted_on: Vec<String>,
    /// Reference texts.
    pub texts: u32,
    /// Authors the reliabilities were measured on.
    pub authors: u32,
    /// What [`crate::reliability::reached_by_chance`] says of so many authors, texts and dimensions.
    pub reached_by_chance: f64,
    /// How they were computed.
    pub note: String,
    /// By dimension id.
    pub dimensions: BTreeMap<String, DimensionStandard>,
}

impl CalibrationFile {
    /// The shipped file.
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<CalibrationFile> = OnceLock::new();
        SHIPPED.get_or_init(|| {
            serde_json::from_str(include_str!("../../../assets/dimension_calibration.json"))
                .expect("the shipped calibration parses (tested)")
        })
    }

    /// Whether its means and spreads hold for this model and today's prompts.
    pub fn holds_for(&self, model: &ModelInfo) -> bool {
        self.model_bytes != 0
            && self.model_bytes == model.file_bytes
            && self.prompt_version == Self::todays_version(&self.dimensions)
    }

    /// The version that standards measured today hold for: the forward source's alone where none is of the channel.
    pub fn todays_version(dimensions: &BTreeMap<String, DimensionStandard>) -> String {
        if dimensions.values().any(|d| d.channel.is_some()) {
            crate::dimensions::channel_version()
        } else {
            crate::dimensions::prompt_version()
        }
    }

    /// As standards in order.
    pub fn standards(&self) -> Calibration {
        Calibration {
            dimensions: space()
                .iter()
                .map(|d| self.dimensions.get(&d.id).copied())
                .collect(),
            widening: 1.0,
            least_reliability: self.least_reliability(),
        }
    }

    /// What a dimension has to reach before it is believed: a half, and more than the luckiest of all reaches without
    /// any signal.
    pub fn least_reliability(&self) -> f64 {
        LEAST_RELIABILITY.max(self.reached_by_chance)
    }
}

impl Calibration {
    /// How much wider intervals are when the standards rest on a handful of our own passages.
    pub const HANDFUL: f64 = 1.5;

    /// Means and spreads of these texts; reliabilities stay unknown.
    pub fn measured<'a>(texts: impl Iterator<Item = &'a TextScores> + Clone) -> Self {
        let dimensions = (0..DIMENSIONS)
            .map(|d| {
                let forward: Vec<f64> = texts.clone().filter_map(|t| t.forward[d]).collect();
                let channel: Vec<f64> = texts.clone().filter_map(|t| t.channel[d]).collect();
                Standard::of(&forward).map(|forward| DimensionStandard {
                    forward,
                    channel: (channel.len() >= CHANNEL_TEXTS)
                        .then(|| Standard::of(&channel))
                        .flatten(),
                    reliability: None,
                })
            })
            .collect();
        Self {
            dimensions,
            widening: 1.0,
            least_reliability: LEAST_RELIABILITY,
        }
    }

    /// Whether any dimension has a standard for the noisy channel.
    pub fn hears_channel(&self) -> bool {
        self.dimensions
            .iter()
            .flatten()
            .any(|d| d.channel.is_some())
    }

    /// [`Calibration::standings`] for arithmetic over many texts: not a number where there is none.
    pub fn standings_or_nan(&self, scores: &TextScores) -> Vec<f64> {
        let known = self.standings(scores).into_iter();
        known.map(|z| z.unwrap_or(f64::NAN)).collect()
    }

    /// A text's standing on every dimension, in standard deviations of reference texts. Two sources are averaged and
    /// brought back to unit spread.
    pub fn standings(&self, scores: &TextScores) -> Vec<Option<f64>> {
        self.dimensions
            .iter()
            .enumerate()
            .map(|(d, standard)| {
                let standard = standard.as_ref()?;
                let forward = standard.forward.z(scores.forward[d]?);
                let channel = standard
                    .channel
                    .as_ref()
                    .and_then(|s| scores.channel[d].map(|c| s.z(c)));
                Some(match channel {
                    Some(channel) => (forward + channel) / std::f64::consts::SQRT_2,
                    None => forward,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idiolect_llm::TextModel;

    fn scores(forward: f64, channel: Option<f64>) -> TextScores {
        let mut s = TextScores::empty();
        s.forward[3] = Some(forward);
        s.channel[3] = channel;
        s
    }

    #[test]
    fn standings_agree_with_hand_computed_values() {
        let mut c = Calibration {
            dimensions: vec![None; DIMENSIONS],
            widening: 1.0,
            least_reliability: LEAST_RELIABILITY,
        };
        c.dimensions[3] = Some(DimensionStandard {
            forward: Standard { mean: 1.0, sd: 2.0 },
            channel: Some(Standard {
                mean: -1.0,
                sd: 0.5,
            }),
            reliability: Some(0.7),
        });
        let z = c.standings(&scores(4.0, None));
        assert_eq!(z[3], Some(1.5), "(4 − 1) / 2");
        assert_eq!(z[4], None, "a dimension without a standard has no standing");
        let both = c.standings(&scores(4.0, Some(-0.5)))[3].unwrap();
        assert!(
            (both - 2.5 / 2f64.sqrt()).abs() < 1e-12,
            "(1.5 + 1) / √2, got {both}"
        );
    }

    #[test]
    fn measured_standards_are_means_and_sample_deviations() {
        let texts: Vec<TextScores> = [1.0, 2.0, 6.0].map(|v| scores(v, Some(v))).to_vec();
        let c = Calibration::measured(texts.iter());
        let s = c.dimensions[3].unwrap();
        assert_eq!(s.forward.mean, 3.0);
        assert!((s.forward.sd - 7f64.sqrt()).abs() < 1e-12, "√((4+1+9)/2)");
        assert_eq!(
            s.channel, None,
            "three texts are too few for the channel's spread"
        );
        assert_eq!(c.dimensions[0], None, "nothing was scored there");
    }

    #[test]
    fn the_shipped_file_parses_and_names_real_dimensions() {
        let file = CalibrationFile::shipped();
        for (id, s) in &file.dimensions {
            assert!(
                idiolect_core::space::find(id).is_some(),
                "{id} is no dimension"
            );
            assert!(
                s.forward.sd > 0.0 && s.forward.mean.is_finite(),
                "{id}: {s:?}"
            );
            assert!(s.reliability.is_none_or(|r| r <= 1.0), "{id}: {s:?}");
        }
    }

    #[test]
    fn the_shipped_numbers_hold_for_todays_prompts_and_with_the_channel_for_todays_sentences() {
        let mut file = CalibrationFile::shipped().clone();
        let model = ModelInfo {
            file_bytes: file.model_bytes,
            ..idiolect_llm::testing::FakeModel::new().info().clone()
        };
        assert!(file.holds_for(&model), "{}", file.prompt_version);
        let standard = file.dimensions.values_mut().next().unwrap();
        standard.channel = Some(standard.forward);
        assert!(
            !file.holds_for(&model),
            "the channel's sentences are picked by anchors of another version"
        );
        file.prompt_version = crate::dimensions::channel_version();
        assert!(file.holds_for(&model));
    }

    #[test]
    fn what_chance_reaches_is_the_simulated_figure() {
        let file = CalibrationFile::shipped();
        let texts = file.texts / file.authors;
        let simulated = crate::reliability::reached_by_chance(
            file.authors as usize,
            texts as usize,
            file.dimensions.len(),
            7,
        );
        // The figure of 200 simulated cohorts is itself uncertain by about this much.
        let tolerance = 0.03;
        assert!(
            (simulated - file.reached_by_chance).abs() < tolerance,
            "{simulated} {}",
            file.reached_by_chance
        );
    }
}
