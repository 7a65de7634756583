//! Drafts: generated texts with everything needed to make them again.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AdapterId, DraftId, ProfileId},
    profile::Intent,
};

/// What goes into the prompt. A method is a set of these, joined with `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Ingredient {
    /// Nothing personal.
    Base,
    /// Non-neutral dimensions and the summary (for me).
    Dimensions,
    /// Hypotheses as instructions (as me).
    Hypotheses,
    /// Own excerpts retrieved for the brief (as me).
    Excerpts,
}

/// One or several ingredients; not cumulative. Serialized as `hypotheses+excerpts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
#[serde(try_from = "String", into = "String")]
pub struct Method(Vec<Ingredient>);

impl Method {
    /// The bare model.
    pub fn base() -> Self {
        Self(vec![Ingredient::Base])
    }

    /// Whether `ingredient` is part of it.
    pub fn has(&self, ingredient: Ingredient) -> bool {
        self.0.contains(&ingredient)
    }
}

impl std::str::FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for part in text.split('+').map(str::trim) {
            let ingredient = match part {
                "base" => Ingredient::Base,
                "dimensions" => Ingredient::Dimensions,
                "hypotheses" => Ingredient::Hypotheses,
                "excerpts" => Ingredient::Excerpts,
                other => {
                    return Err(format!(
                        "no method is called “{other}”; use base, dimensions, hypotheses, excerpts, or several joined by +"
                    ));
                }
            };
            if !parts.contains(&ingredient) {
                parts.push(ingredient);
            }
        }
        parts.sort();
        if parts.len() > 1 {
            // Base is the absence of the others.
            parts.retain(|i| *i != Ingredient::Base);
        }
        Ok(Self(parts))
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("+")?;
            }
            f.write_str(match part {
                Ingredient::Base => "base",
                Ingredient::Dimensions => "dimensions",
                Ingredient::Hypotheses => "hypotheses",
                Ingredient::Excerpts => "excerpts",
            })?;
        }
        Ok(())
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}

/// A trained voice applied at a strength.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AdapterUse {
    /// Which adapter.
    pub id: AdapterId,
    /// 0 = off, 1 = as trained; up to 2.
    pub scale: f64,
    /// How far tokens are moved on from what the base model alone would write, 0 = not at all; up to 2.
    #[serde(default)]
    pub contrast: f64,
}

impl AdapterUse {
    /// The voice at a strength, without contrast.
    pub fn new(id: AdapterId, scale: f64) -> Self {
        Self {
            id,
            scale,
            contrast: 0.0,
        }
    }
}

/// What the person thinks of a single draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Thumb {
    /// More of this.
    Up,
    /// Less of this.
    Down,
}

/// How tokens are drawn. Every field has a default, so a front sends only what the person changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(default)]
pub struct Sampling {
    /// 0 = always the likeliest.
    pub temperature: f64,
    /// Nucleus mass, 1 = off.
    pub top_p: f64,
    /// 0 = off.
    pub top_k: u32,
    /// Share of the likeliest token's probability a token must have, 0 = off.
    pub min_p: f64,
    /// Repetition penalty over the last 64 tokens (divides odds by this), 1 = off.
    pub repetition_penalty: f64,
    /// Same seed, same draft.
    pub seed: u64,
    /// At most this many tokens.
    pub max_tokens: u32,
    /// Stop when the text contains one of these.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        // Temperature, min-p and penalty as they carried on the default model.
        Self {
            temperature: 0.8,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.05,
            repetition_penalty: 1.2,
            seed: 1,
            max_tokens: 220,
            stop: Vec::new(),
        }
    }
}

/// How a draft compares with the person's texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Meters {
    /// 0-1: how close its counted habits are to the person's (1 = as close as their own texts); absent with too little text.
    pub style_match: Option<f64>,
    /// Longest run of words copied from a sample.
    pub longest_copied_words: u32,
    /// The copied words themselves, empty below 5.
    pub copied: String,
    /// Claims the draft follows, of those it could be checked against.
    pub hypotheses_met: u32,
    /// Claims it could be checked against.
    pub hypotheses_checked: u32,
}

/// A generated text and how to make it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Draft {
    /// Its id.
    pub id: DraftId,
    /// Whose profile it was written with.
    pub profile: ProfileId,
    /// As me or for me.
    pub intent: Intent,
    /// What went into the prompt.
    pub method: Method,
    /// What it was asked to be.
    pub brief: String,
    /// The exact text the model saw, template included.
    pub prompt: String,
    /// The draft.
    pub text: String,
    /// Tokens generated.
    pub tokens: u32,
    /// Tokens in the prompt.
    pub prompt_tokens: u32,
    /// Wall time of the generation, seconds.
    pub seconds: f64,
    /// Generated tokens per second.
    pub tokens_per_second: f64,
    /// How tokens were drawn, seed included.
    pub sampling: Sampling,
    /// Model id.
    pub model: String,
    /// The adapter, if one was on.
    pub adapter: Option<AdapterUse>,
    /// Further trained voices that were on beside it.
    #[serde(default)]
    pub other_adapters: Vec<AdapterUse>,
    /// Why it ended: `stop`, `length`, `cancelled`.
    pub ended: String,
    /// How it compares with the person's texts.
    pub meters: Meters,
    /// The person keeps it.
    pub kept: bool,
    /// The draft as the person corrected it.
    #[serde(default)]
    pub edited: Option<String>,
    /// What the person thinks of it.
    #[serde(default)]
    pub thumb: Option<Thumb>,
    /// RFC 3339, UTC.
    pub created_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_round_trip_and_base_yields_to_others() {
        let m: Method = "excerpts+hypotheses".parse().unwrap();
        assert_eq!(m.to_string(), "hypotheses+excerpts");
        assert_eq!(
            "base+dimensions".parse::<Method>().unwrap().to_string(),
            "dimensions"
        );
        assert!(
            "nonsense"
                .parse::<Method>()
                .unwrap_err()
                .contains("nonsense")
        );
    }
}
