//! What the person's own description says they want.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A wish as it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StatedWish {
    /// False: to be avoided.
    pub wanted: bool,
    /// What it is about, lower case.
    pub thing: String,
    /// The sentence it was read in.
    pub sentence: String,
}
