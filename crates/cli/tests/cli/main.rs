//! The command line as a person or a script uses it: the real program, a home of its own, the real model
//! where it is there (`IDIOLECT_MODELS`, as `cargo xtask test` sets it).

mod bad_input;
mod evaluations;
mod journey;
mod measuring;
mod models;
mod profile;
mod samples;
mod support;
mod training;
mod usage;
mod writing;
