//! Results of evaluations, one shape for all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Interval;

/// One measured number with its controls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct EvalResult {
    /// What was measured.
    pub name: String,
    /// The figure; shares and accuracies are fractions 0-1.
    pub value: f64,
    /// 95 %, bootstrap over the unit the eval names.
    pub interval: Interval,
    /// Unit of `value`.
    pub unit: String,
    /// Chance, floors, ceilings, wrong-user figures.
    pub controls: BTreeMap<String, f64>,
}

/// A whole evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct EvalReport {
    /// Its name.
    pub eval: String,
    /// Model id.
    pub model: String,
    /// Rows, people or authors it was measured on.
    pub n: u32,
    /// `shipped` coefficients, `nested` cross-validation on the very file they were fitted on, or `trained` in the run itself.
    pub fit: String,
    /// The figures.
    pub results: Vec<EvalResult>,
    /// What a reader must know, in words.
    pub notes: Vec<String>,
}
