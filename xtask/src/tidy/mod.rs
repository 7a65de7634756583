//! `tidy`: the rules of docs/ARCHITECTURE.md that no compiler checks.

use anyhow::{Result, bail};

use crate::{notices, shell};

mod crates;
mod invariants;
mod sources;

/// Checks everything and names every breach.
pub fn tidy() -> Result<()> {
    let files = shell::tracked()?;
    let mut breaches = crates::breaches(&shell::metadata(&["--no-deps"])?);
    breaches.extend(sources::breaches(&files)?);
    breaches.extend(invariants::breaches(&files)?);
    breaches.extend(notices::breaches()?);
    for breach in &breaches {
        eprintln!("{breach}");
    }
    match breaches.len() {
        0 => Ok(()),
        1 => bail!("one rule is broken; it is named above"),
        number => bail!("{number} rules are broken; they are named above"),
    }
}
