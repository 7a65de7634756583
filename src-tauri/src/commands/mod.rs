//! The commands of the page, an area a file. Each is one line over the studio.

pub mod files;
pub mod submit;
