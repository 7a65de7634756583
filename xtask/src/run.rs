//! `run`: from a fresh clone to an open studio. And the small commands that share its steps.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    needs::{self, Purpose},
    shell::{cargo, command, succeed, target_dir},
    ui,
};

/// What the studio needs to write and to compare: fetched when missing.
pub const MODELS: &[&str] = &["smollm2-135m-instruct", "all-minilm-l6-v2"];

/// Installs, builds, fetches, opens.
pub fn run() -> Result<()> {
    needs::provide(Purpose::Run)?;
    ui::build()?;
    println!("Building the studio (the first time takes a while) …");
    succeed(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "idiolect-studio",
        "-p",
        "idiolect-cli",
    ]))?;
    let idiolect = built("release", "idiolect")?;
    let models = pull(&idiolect, None);
    if needs::has_display() {
        // Much of the studio works without a model, and its own page says how to bring one.
        if let Err(error) = models {
            println!(
                "{error:#}\nThe studio opens without it; Models there can fetch it or import a file."
            );
        }
        println!("Opening the studio.");
        succeed(&mut command(built("release", "idiolect-studio")?, &[]))
    } else {
        models?;
        println!("There is no display here, so this runs the demo: the whole journey, measured.");
        succeed(&mut command(idiolect, &["demo"]))
    }
}

/// Fetches the models with the release command line.
pub fn models(folder: Option<&Path>) -> Result<()> {
    succeed(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "idiolect-cli",
    ]))?;
    pull(&built("release", "idiolect")?, folder)
}

/// Writes the TypeScript types. The generator is the very test that finds them stale.
pub fn codegen() -> Result<()> {
    succeed(
        cargo(&[
            "test",
            "-q",
            "-p",
            "idiolect-use-cases",
            "--",
            "typescript_bindings_are_current",
        ])
        .env("IDIOLECT_UPDATE", "1"),
    )
}

/// Fetches what is missing of [`MODELS`]; what is there is left alone.
pub fn pull(idiolect: &Path, folder: Option<&Path>) -> Result<()> {
    for model in MODELS {
        let mut pull = Command::new(idiolect);
        pull.args(["models", "pull", model])
            .stdin(std::process::Stdio::null());
        if let Some(folder) = folder {
            pull.arg("--models").arg(folder);
        }
        succeed(&mut pull).with_context(|| format!("the model {model} could not be fetched"))?;
    }
    Ok(())
}

/// A program that cargo built.
pub fn built(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(target_dir()?
        .join(profile)
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}
