//! `bench`: this engine and llama.cpp on the same machine, the same files and threads, in turns.

mod peers;
mod table;
mod training;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    run::{command_line, pull},
    shell::{command, output, read, root, target_dir},
};
use peers::{Level, Peers};
use table::{Side, replaced, table};
pub use training::train;

const DOCUMENT: &str = "docs/benchmarks.md";
/// Measured where no file is named: fetched when missing.
const MODEL: &str = "smollm2-135m-instruct";
/// Share of the processor that other programs may use while something is measured; beyond it is measured again.
const QUIET: f64 = 0.04;
/// How often it is measured again.
const PATIENCE: usize = 2;

/// What one run of a side measures. Short runs in turns, so that both sides meet the same machine.
const WORK: [&[&str]; 3] = [
    &["--workload", "decode,drafts"],
    &[
        "--prompts",
        "64",
        "--decode",
        "4",
        "--workload",
        "continuations",
    ],
    &[
        "--prompts",
        "64",
        "--decode",
        "4",
        "--workload",
        "sentences",
    ],
];

/// The command line.
#[derive(Debug, Default)]
struct Arguments<'a> {
    models: Vec<&'a str>,
    levels: Vec<&'a str>,
    rounds: usize,
    threads: Option<&'a str>,
    sentences: &'a str,
    quick: bool,
    peer_only: bool,
    dry: bool,
    offline: bool,
    idiolect: Option<&'a str>,
}

impl<'a> Arguments<'a> {
    fn parse(words: &[&'a str]) -> Result<Self> {
        let mut parsed = Self {
            rounds: 5,
            sentences: "200",
            ..Self::default()
        };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .copied()
                    .with_context(|| format!("{word} needs a value"))
            };
            match word {
                "--model" => parsed.models.push(value()?),
                "--level" => parsed.levels.push(value()?),
                "--rounds" => {
                    parsed.rounds = value()?.parse().context("--rounds needs a number")?
                }
                "--threads" => parsed.threads = Some(value()?),
                "--sentences" => parsed.sentences = value()?,
                "--idiolect" => parsed.idiolect = Some(value()?),
                "--quick" => parsed.quick = true,
                "--peer-only" => parsed.peer_only = true,
                "--dry" => parsed.dry = true,
                "--offline" => parsed.offline = true,
                other => bail!(
                    "bench has no `{other}`; it has --model FILE, --level amx|avx512|avx2, --rounds N, --threads N, --sentences N, \
                     --quick, --peer-only, --dry, --offline, --idiolect PROGRAM"
                ),
            }
        }
        ensure!(parsed.rounds > 0, "--rounds must be at least 1");
        Ok(parsed)
    }
}

/// Measures, prints, and writes docs/benchmarks.md.
pub fn bench(words: &[&str]) -> Result<()> {
    let arguments = Arguments::parse(words)?;
    let levels = Level::chosen(
        &arguments.levels,
        &peers::of_processor("flags").unwrap_or_default(),
    )?;
    let peers = Peers::provide(&levels, arguments.offline)?;
    let idiolect = match arguments.idiolect {
        Some(program) => {
            fs::canonicalize(program).with_context(|| format!("{program} is not there"))?
        }
        None => command_line()?,
    };
    let models = models(&arguments, &idiolect)?;
    let threads = match arguments.threads {
        Some(threads) => threads.to_owned(),
        None => physical_cores(),
    };
    for model in &models {
        for level in &levels {
            let bench = Bench {
                arguments: &arguments,
                peers: &peers,
                idiolect: &idiolect,
                home: target_dir()?.join("bench-home"),
                model,
                level,
                threads: &threads,
            };
            let (heading, section) = bench.section()?;
            println!("\n### {heading}\n\n{section}");
            if !arguments.dry {
                let document = replaced(&read(DOCUMENT)?, &heading, &section)
                    .with_context(|| format!("{DOCUMENT} cannot be written"))?;
                fs::write(root().join(DOCUMENT), document)?;
            }
        }
    }
    Ok(())
}

fn models(arguments: &Arguments<'_>, idiolect: &Path) -> Result<Vec<PathBuf>> {
    if !arguments.models.is_empty() {
        let files = arguments.models.iter().map(|file| {
            fs::canonicalize(file).with_context(|| format!("the model {file} is not there"))
        });
        return files.collect();
    }
    Ok(vec![fetched(idiolect, arguments.offline)?])
}

/// The default model's file, fetched when missing.
fn fetched(idiolect: &Path, offline: bool) -> Result<PathBuf> {
    let folder = match std::env::var_os("IDIOLECT_MODELS") {
        Some(folder) => PathBuf::from(folder),
        None => target_dir()?.join("models"),
    };
    let file = folder.join(format!("{MODEL}.gguf"));
    if !file.exists() {
        ensure!(
            !offline,
            "{} is not there, and --offline forbids fetching it",
            file.display()
        );
        pull(idiolect, Some(&folder))?;
    }
    Ok(file)
}

/// One model at one level.
struct Bench<'a> {
    arguments: &'a Arguments<'a>,
    peers: &'a Peers,
    idiolect: &'a Path,
    home: PathBuf,
    model: &'a Path,
    level: &'a Level,
    threads: &'a str,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    /// llama.cpp with flash attention as it chooses, or off.
    Peer(&'static str),
}

impl Bench<'_> {
    fn section(&self) -> Result<(String, String)> {
        let name = self.model.file_stem().unwrap_or_default().to_string_lossy();
        let mut sides = vec![
            (Who::Peer("auto"), Side::new()),
            (Who::Peer("off"), Side::new()),
        ];
        if !self.arguments.peer_only {
            sides.insert(0, (Who::Ours, Side::new()));
        }
        let mut loudest: f64 = 0.0;
        for round in 0..self.arguments.rounds {
            eprintln!(
                "{name}, {}: round {} of {}",
                self.level.name,
                round + 1,
                self.arguments.rounds
            );
            let mut outputs: Vec<Vec<Value>> = vec![Vec::new(); sides.len()];
            for work in self.work() {
                for turn in 0..sides.len() {
                    // Every other round in the other order.
                    let i = if round % 2 == 0 {
                        turn
                    } else {
                        sides.len() - 1 - turn
                    };
                    let (said, noise) = self.quietly(sides[i].0, work)?;
                    loudest = loudest.max(noise);
                    outputs[i].push(said);
                }
            }
            for ((_, side), outputs) in sides.iter_mut().zip(&outputs) {
                side.add(outputs);
            }
        }
        let none = Side::new();
        let of = |who| {
            sides
                .iter()
                .find(|(w, _)| *w == who)
                .map_or(&none, |(_, side)| side)
        };
        let table = table(of(Who::Ours), [of(Who::Peer("auto")), of(Who::Peer("off"))]);
        let noise = if loudest > QUIET {
            format!(
                " Other programs used up to {:.0} % of the processor meanwhile.",
                loudest * 100.0
            )
        } else {
            String::new()
        };
        Ok((
            format!("{name}, {}", self.level.name),
            format!(
                "{}, {} threads, {} rounds in turns, commit {}: median [least-most].{noise}\n\n{table}",
                processor(),
                self.threads,
                self.arguments.rounds,
                commit(),
            ),
        ))
    }

    fn work(&self) -> &'static [&'static [&'static str]] {
        if self.arguments.quick { &[&[]] } else { &WORK }
    }

    /// Measures once; again where other programs were busy, and then the quietest counts.
    fn quietly(&self, who: Who, work: &[&str]) -> Result<(Value, f64)> {
        let mut best = self.once(who, work)?;
        for _ in 0..PATIENCE {
            if best.1 <= QUIET {
                break;
            }
            std::thread::sleep(Duration::from_secs(2));
            let again = self.once(who, work)?;
            if again.1 < best.1 {
                best = again;
            }
        }
        Ok(best)
    }

    /// Runs one side and gives what it printed, and the share of the processor that others used meanwhile.
    fn once(&self, who: Who, work: &[&str]) -> Result<(Value, f64)> {
        let mut side = match who {
            Who::Ours => {
                let mut side = command(self.idiolect, &["bench", "--json"]);
                side.env("IDIOLECT_HOME", &self.home);
                if self.level.forced {
                    side.env("IDIOLECT_CPU", self.level.name);
                }
                side
            }
            Who::Peer(flash) => {
                let mut side = self.peers.measure(self.level);
                side.args(["--flash", flash]);
                side
            }
        };
        side.arg("--model").arg(self.model);
        side.args(["--threads", self.threads]).args(work);
        if work.contains(&"sentences") {
            side.args(["--sentences", self.arguments.sentences]);
        }
        let (text, noise) = watched(&mut side)?;
        let said: Value =
            serde_json::from_str(text.trim()).context("what it printed is no JSON")?;
        if let Who::Peer(_) = who {
            self.level
                .check(said["device"].as_str().unwrap_or_default())?;
        }
        Ok((said, noise))
    }
}

/// Runs a command to its end; the share of all cores that neither idled nor worked for it.
fn watched(side: &mut Command) -> Result<(String, f64)> {
    let (started, before) = (Instant::now(), busy_ticks());
    let text = output(side)?;
    let ticks = started.elapsed().as_secs_f64() * TICKS * cores();
    let others = match (before, busy_ticks()) {
        (Some((all, ours)), Some((all_after, ours_after))) => {
            (all_after - all) - (ours_after - ours)
        }
        _ => 0.0,
    };
    Ok((text, (others / ticks.max(1.0)).max(0.0)))
}

/// Linux counts processor time in hundredths of a second here.
const TICKS: f64 = 100.0;

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

/// Time that all cores were busy, and that programs we started and waited for used, in ticks; `None` where the system does not say.
fn busy_ticks() -> Option<(f64, f64)> {
    let all = fs::read_to_string("/proc/stat").ok()?;
    let times: Vec<f64> = all
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; what follows is part of user and nice.
    let busy: f64 = times.iter().take(8).sum::<f64>() - times.get(3)? - times.get(4)?;
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses, fields 3 on; cutime and cstime are 16 and 17.
    let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
    let children = fields.get(13)?.parse::<f64>().ok()? + fields.get(14)?.parse::<f64>().ok()?;
    Some((busy, children))
}

/// One thread a core that is not the second half of another.
fn physical_cores() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |block: &str, name: &str| {
        let line = block.lines().find(|line| line.starts_with(name))?;
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
    };
    let mut seen: Vec<_> = text
        .split("\n\n")
        .filter_map(|block| Some((field(block, "physical id")?, field(block, "core id")?)))
        .collect();
    seen.sort();
    seen.dedup();
    match seen.len() {
        0 => cores().to_string(),
        n => n.to_string(),
    }
}

fn processor() -> String {
    peers::of_processor("model name").unwrap_or_else(|| "unknown processor".to_owned())
}

fn commit() -> String {
    output(&mut command("git", &["describe", "--always", "--dirty"]))
        .map_or("unknown".to_owned(), |said| said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_unknown_ones_named() {
        let words = [
            "--model", "a.gguf", "--model", "b.gguf", "--rounds", "3", "--dry",
        ];
        let parsed = Arguments::parse(&words).expect("arguments");
        assert_eq!(parsed.models, ["a.gguf", "b.gguf"]);
        assert!(parsed.dry && parsed.rounds == 3 && !parsed.quick);
        for (words, why) in [
            (&["--model"][..], "needs a value"),
            (&["--rounds", "0"], "at least 1"),
            (&["--fast"], "no `--fast`"),
        ] {
            let error = Arguments::parse(words).expect_err("wrong").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
