//! Whole-app tests: the commands' contract, how closed the window is, the real window.
//!
//! `closed` and `contract` need no display. `journey`, `troubles` and `strace` open the real window on a
//! display of their own (Xvfb; see `desk` and `page`) and drive it with WebKit's own driver; `cargo xtask test`
//! installs both.
#![forbid(unsafe_code)]

mod closed;
mod contract;
mod desk;
mod journey;
mod page;
mod strace;
mod troubles;
