//! What a person can set about a training. Every field has a default, so that a front sends only what was changed and
//! settings stored by an older version still read.

use serde::{Deserialize, Serialize};

use crate::draft::Method;

/// What is made likelier, and against what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Supervised fine-tuning: the person's texts, given a brief.
    #[default]
    Sft,
    /// Direct preference optimization: what was picked over what was not, against the model it starts from.
    Dpo,
    /// Odds-ratio preference optimization: the same in one stage, without a reference.
    Orpo,
    /// Kahneman-Tversky optimization: single thumbs, up or down.
    Kto,
    /// Demonstrations over the model's own drafts (DITTO): few texts, no votes.
    Ditto,
}

impl Objective {
    /// As it is typed and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Dpo => "dpo",
            Self::Orpo => "orpo",
            Self::Kto => "kto",
            Self::Ditto => "ditto",
        }
    }

    /// Whether it learns from preferences (votes, edits, thumbs) rather than from texts.
    pub fn uses_preferences(self) -> bool {
        matches!(self, Self::Dpo | Self::Orpo | Self::Kto)
    }
}

/// The learning rate after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Down to a tenth in a straight line.
    #[default]
    Linear,
    /// Down to a tenth along half a cosine.
    Cosine,
    /// As it is.
    Constant,
}

/// Precision of the products of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum TrainPrecision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16 factors summed in 32 bits, where the processor has them; else as `f32`.
    Bf16,
}

/// Who writes the brief that each text answers in training ("data playback").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum BriefSource {
    /// Counted from the text's own words.
    #[default]
    Counted,
    /// The model, once a text and kept with it; counted where it has nothing usable to say.
    Model,
}

/// Where preferences come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreferenceSource {
    /// Blind picks between two drafts.
    Votes,
    /// Drafts as the person corrected them, over what they were.
    Edits,
    /// Thumbs up and down.
    Thumbs,
    /// Picks in blind tests of trained voices. They judge a training, so they teach the next one only where asked for.
    Retests,
}

/// Settings of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(default)]
pub struct TrainSettings {
    /// What is learned.
    pub objective: Objective,
    /// LoRA rank.
    pub rank: u32,
    /// LoRA alpha; the delta is scaled by alpha / rank.
    pub alpha: f64,
    /// Rank-stabilized LoRA: the delta is scaled by alpha / √rank instead.
    pub rank_stabilized: bool,
    /// Share of the inputs of LoRA that a step leaves out, 0 up to below 1.
    pub dropout: f64,
    /// Which linears: any of q, k, v, o, gate, up, down.
    pub targets: Vec<String>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps until the learning rate is at its peak.
    pub warm_up: u32,
    /// How it falls from there.
    pub schedule: Schedule,
    /// Longest gradient, Euclidean; longer ones are shortened to it.
    pub clip: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Passes over the training chunks (or preferences).
    pub epochs: u32,
    /// Rows (or pairs) a pass through the model.
    pub batch: u32,
    /// Passes through the model an optimizer step; `batch` × `accumulate` rows a step.
    pub accumulate: u32,
    /// Longest row in tokens.
    pub max_length: u32,
    /// Words a chunk.
    pub chunk_words: u32,
    /// Share of chunks (or preferences) held out, 0-0.5.
    pub held_out: f64,
    /// What else stands in the prompts it is trained on: its excerpts, hypotheses, dimensions.
    pub method: Method,
    /// Who writes the briefs.
    pub briefs: BriefSource,
    /// Which preferences are learned from, where the objective takes any.
    pub preferences: Vec<PreferenceSource>,
    /// How strongly preferences hold on to the model they start from.
    pub beta: f64,
    /// Share of preferences taken to be mistaken, 0 up to below 0.5.
    pub label_smoothing: f64,
    /// Log-probabilities a token instead of a text, so that length alone wins nothing.
    pub length_normalised: bool,
    /// Precision of the products. Settings that do not say are of a time when there was one.
    #[serde(default)]
    pub precision: TrainPrecision,
    /// Compute activations again in the backward pass instead of keeping them: less memory, more time.
    pub recompute: bool,
    /// Drafts it writes at each measurement, to show what it has learned and to stop where it copies. Settings that do not
    /// say are of a time when there were none.
    #[serde(default)]
    pub trial_drafts: u32,
    /// Seed of everything random in the run.
    pub seed: u64,
    /// Stop when the held-out loss has risen twice and keep the best.
    pub early_stop: bool,
}

impl Default for TrainSettings {
    fn default() -> Self {
        // As they carried on the default model with about 2,000 words of a person.
        Self {
            objective: Objective::Sft,
            rank: 8,
            alpha: 16.0,
            rank_stabilized: false,
            dropout: 0.0,
            targets: ["q", "k", "v", "o", "gate", "up", "down"]
                .map(str::to_owned)
                .to_vec(),
            learning_rate: 5e-4,
            warm_up: 4,
            schedule: Schedule::Linear,
            clip: 1.0,
            weight_decay: 0.0,
            epochs: 3,
            batch: 2,
            accumulate: 1,
            max_length: 256,
            chunk_words: 120,
            held_out: 0.15,
            method: Method::base(),
            briefs: BriefSource::Counted,
            preferences: vec![
                PreferenceSource::Votes,
                PreferenceSource::Edits,
                PreferenceSource::Thumbs,
            ],
            beta: 0.1,
            label_smoothing: 0.0,
            length_normalised: false,
            precision: TrainPrecision::Bf16,
            recompute: false,
            trial_drafts: 2,
            seed: 1,
            early_stop: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_first_version_still_read() {
        let old = r#"{"rank":4,"alpha":8.0,"targets":["q","v"],"learning_rate":0.001,"epochs":2,"batch":4,
            "max_length":128,"chunk_words":80,"held_out":0.2,"seed":7,"early_stop":false}"#;
        let read: TrainSettings = serde_json::from_str(old).unwrap();
        let expected = TrainSettings {
            rank: 4,
            alpha: 8.0,
            targets: vec!["q".into(), "v".into()],
            learning_rate: 0.001,
            epochs: 2,
            batch: 4,
            max_length: 128,
            chunk_words: 80,
            held_out: 0.2,
            precision: TrainPrecision::F32,
            trial_drafts: 0,
            seed: 7,
            early_stop: false,
            ..TrainSettings::default()
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn settings_round_trip_and_nothing_is_the_default() {
        let settings = TrainSettings {
            objective: Objective::Orpo,
            method: "hypotheses+excerpts".parse().unwrap(),
            briefs: BriefSource::Model,
            precision: TrainPrecision::F32,
            schedule: Schedule::Cosine,
            preferences: vec![PreferenceSource::Edits],
            ..TrainSettings::default()
        };
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<TrainSettings>(&json).unwrap(),
            settings
        );
        assert_eq!(
            serde_json::from_str::<TrainSettings>("{}").unwrap(),
            TrainSettings {
                precision: TrainPrecision::F32,
                trial_drafts: 0,
                ..TrainSettings::default()
            }
        );
        for objective in ["sft", "dpo", "orpo", "kto", "ditto"] {
            let read: Objective = serde_json::from_str(&format!("\"{objective}\"")).unwrap();
            assert_eq!(read.as_str(), objective);
        }
    }
}
