//! `cargo xtask`: the project's own commands. It depends on almost nothing, so that it starts at once
//! on a machine that lacks everything else.
#![forbid(unsafe_code)]

mod bench;
mod needs;
mod notices;
mod run;
mod shell;
mod steps;
mod test;
mod tidy;
mod ui;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  run               Install what is missing, build everything, fetch the default model, open the studio
                    (without a display: run the demo on the command line)
  test [--only STEP]...
                    Install what the tests need and run them all, or only the named steps
  tidy              Check the rules of docs/ARCHITECTURE.md: who may depend on whom, unsafe, lengths
  codegen           Write ui/src/lib/generated/bindings.ts from the Rust types
  notices           Write THIRD_PARTY.md from the lock files
  models [DIR]      Fetch the default model and the embedder (into DIR, else the usual folder)
  bench [--model FILE]... [--level NAME]... [--rounds N] [--quick] [--dry]
                    Build llama.cpp beside the release build, measure both in turns, write docs/benchmarks.md
  bench train [--only CASE]... [--rounds N] [--steps N]
                    Install PyTorch and peft in a folder of their own, train beside them in turns, print a table a case";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["run"] => run::run(),
        ["test", rest @ ..] => test::test(rest),
        ["tidy"] => tidy::tidy(),
        ["codegen"] => run::codegen(),
        ["notices"] => notices::write(),
        ["models"] => run::models(None),
        ["models", folder] => run::models(Some(folder.as_ref())),
        ["bench", "train", rest @ ..] => bench::train(rest),
        ["bench", rest @ ..] => bench::bench(rest),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [other, ..] => {
            bail!("there is no command `{other}`, or not with these arguments\n\n{USAGE}")
        }
    }
}
