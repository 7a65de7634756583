//! The window's pages: installed and built with npm, and only when something changed.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::PathBuf,
};

use anyhow::{Context, Result};

use crate::shell::{command, root, succeed, target_dir, tracked};

/// npm in ui/.
pub fn npm(arguments: &[&str]) -> std::process::Command {
    let mut npm = command("npm", arguments);
    npm.current_dir(root().join("ui"));
    npm
}

/// Installs what package-lock.json names, unless exactly that is installed.
pub fn install() -> Result<()> {
    let inputs = ["ui/package.json".into(), "ui/package-lock.json".into()];
    unless_done("ui-install", &inputs, "ui/node_modules", || {
        succeed(&mut npm(&[
            "ci",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]))
    })
}

/// Builds ui/dist, unless it was built from exactly these sources.
pub fn build() -> Result<()> {
    let inputs: Vec<String> = tracked()?
        .into_iter()
        .filter(|path| path.starts_with("ui/") || path.starts_with("assets/"))
        .collect();
    unless_done("ui-build", &inputs, "ui/dist/index.html", || {
        install()?;
        succeed(&mut npm(&["run", "build"]))
    })
}

/// Does `work` unless `product` is there and a stamp says that it came from the same inputs.
fn unless_done(
    name: &str,
    inputs: &[String],
    product: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let stamp = stamp(name)?;
    let now = digest(inputs)?;
    if root().join(product).exists() && fs::read_to_string(&stamp).is_ok_and(|then| then == now) {
        return Ok(());
    }
    work()?;
    fs::write(&stamp, now).with_context(|| format!("{} cannot be written", stamp.display()))
}

fn stamp(name: &str) -> Result<PathBuf> {
    let folder = target_dir()?.join("xtask");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}

/// A fingerprint against accidents, not attackers.
fn digest(inputs: &[String]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in inputs {
        path.hash(&mut hasher);
        fs::read(root().join(path))
            .with_context(|| format!("{path} cannot be read"))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}
