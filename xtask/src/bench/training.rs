//! `bench train`: this studio's training and PyTorch's with peft, step for step, in an environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::fetched;
use crate::{
    run::command_line,
    shell::{command, succeed, target_dir},
};

const SCRIPT: &str = "tests/bench/peft_train.py";

/// The command line.
#[derive(Debug, Default)]
struct Arguments<'a> {
    idiolect: Option<&'a str>,
    offline: bool,
    /// What the script itself is told.
    script: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    fn parse(words: &[&'a str]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value"))
            };
            match word {
                "--idiolect" => parsed.idiolect = Some(value()?),
                "--offline" => parsed.offline = true,
                "--only" | "--rounds" | "--steps" | "--threads" => {
                    parsed.script.extend([word, value()?]);
                }
                other => bail!(
                    "bench train has no `{other}`; it has --only \"sft q,v\" (and such), --rounds N, --steps N, --threads N, \
                     --offline, --idiolect PROGRAM"
                ),
            }
        }
        Ok(parsed)
    }
}

/// Installs PyTorch and peft into target/peers/peft where they are missing, measures, prints a table a case; fails where the loss
/// curves differ.
pub fn train(words: &[&str]) -> Result<()> {
    let arguments = Arguments::parse(words)?;
    let python = environment(arguments.offline)?;
    let idiolect = match arguments.idiolect {
        Some(program) => {
            fs::canonicalize(program).with_context(|| format!("{program} is not there"))?
        }
        None => command_line()?,
    };
    let model = fetched(&idiolect, arguments.offline)?;
    let mut measure = command(python, &[SCRIPT]);
    measure.args(&arguments.script).arg(idiolect);
    measure.env("IDIOLECT_HOME", target_dir()?.join("bench-home"));
    measure.env("IDIOLECT_MODELS", model.parent().unwrap_or(Path::new(".")));
    succeed(measure.arg(&model))
}

/// The environment's Python. It is made beside its place and moved there whole, so that one cut short is made anew.
fn environment(offline: bool) -> Result<PathBuf> {
    let folder = target_dir()?.join("peers/peft");
    let python = folder.join("bin/python");
    if !python.exists() {
        ensure!(
            !offline,
            "PyTorch and peft are not installed, and --offline forbids fetching them.\nhint: run this once without --offline"
        );
        println!("Installing PyTorch, transformers and peft (5 GB) …");
        let unfinished = target_dir()?.join("peers/peft.part");
        let _old = fs::remove_dir_all(&unfinished);
        succeed(command("python3", &[SCRIPT, "--install"]).arg(&unfinished))?;
        fs::rename(&unfinished, &folder).context("the environment cannot be moved")?;
    }
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_knows_is_passed_on_and_the_rest_refused() {
        let words = ["--only", "sft q,v", "--offline", "--steps", "6"];
        let parsed = Arguments::parse(&words).expect("arguments");
        assert_eq!(parsed.script, ["--only", "sft q,v", "--steps", "6"]);
        assert!(parsed.offline && parsed.idiolect.is_none());
        for (words, why) in [
            (&["--only"][..], "needs a value"),
            (&["--fast"], "no `--fast`"),
        ] {
            let error = Arguments::parse(words).expect_err("wrong").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
