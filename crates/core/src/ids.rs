//! Newtype ids: a prefix that says what it names and 12 hex digits, `s-3f9a2c81b04e`.
//!
//! The command line takes any unambiguous beginning of an id; that matching lives in `studio`.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// An id from 48 random bits (the caller owns the randomness).
            pub fn from_random(bits: u64) -> Self {
                Self(format!("{}{:012x}", $prefix, bits & 0xffff_ffff_ffff))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

id!(
    /// One user's voice.
    ProfileId, "p-"
);
id!(
    /// One text of the person's.
    SampleId, "s-"
);
id!(
    /// One tested claim about the writer.
    HypothesisId, "h-"
);
id!(
    /// One generated (or pasted) text.
    DraftId, "d-"
);
id!(
    /// One blind pair, voted on or waiting.
    PairId, "b-"
);
id!(
    /// One trained LoRA.
    AdapterId, "a-"
);
id!(
    /// One training run.
    RunId, "r-"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_prefix_and_48_bits() {
        assert_eq!(SampleId::from_random(0xabc).as_str(), "s-000000000abc");
        assert_eq!(
            DraftId::from_random(u64::MAX).as_str(),
            "d-ffffffffffff",
            "higher bits are dropped, not printed"
        );
    }
}
