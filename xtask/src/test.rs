//! `test`: everything that has to hold, the quick checks first.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    needs::{self, Purpose},
    run::{built, pull},
    shell::{cargo, command, succeed, target_dir, watch},
    steps::{self, Count, Step},
    tidy, ui,
};

/// Clippy, the tests and the browser's bridge are built with one set of features: nothing is built twice.
const FEATURES: &[&str] = &[
    "--workspace",
    "--locked",
    "--features",
    "idiolect-cli/ui-bridge",
];

/// Runs all steps, or those named by `--only`.
pub fn test(arguments: &[&str]) -> Result<()> {
    let mut only = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (*argument, rest.next()) {
            ("--only", Some(step)) => only.push(*step),
            _ => bail!("usage: cargo xtask test [--only STEP]..."),
        }
    }
    steps::run(
        vec![
            Step::new("needs", |_| needs::provide(Purpose::Test)),
            Step::new("fmt", |_| succeed(&mut cargo(&["fmt", "--all", "--check"]))),
            Step::new("tidy", |_| tidy::tidy()),
            Step::new("ui-install", |_| ui::install()),
            Step::new("ui-check", |_| succeed(&mut ui::npm(&["run", "check"]))),
            Step::new("ui-unit", |count| {
                watch(&mut ui::npm(&["run", "test"]), |line| count.read(line))
            }),
            Step::new("ui-build", |_| ui::build()),
            Step::new("ui-browser", |count| browser(count, None)),
            Step::new("clippy", |_| {
                let lint = with_features(&["clippy"], &["--all-targets", "--", "-D", "warnings"]);
                succeed(&mut cargo(&lint))
            }),
            Step::new("build", |_| {
                succeed(&mut cargo(&with_features(&["test"], &["--no-run"])))
            }),
            Step::new("models", |_| {
                pull(&built("debug", "idiolect")?, Some(&models()?))
            }),
            Step::new("rust", |count| {
                let mut tests = cargo(&with_features(&["test"], &["--no-fail-fast"]));
                tests.env("IDIOLECT_MODELS", models()?);
                watch(&mut tests, |line| count.read(line))
            }),
            Step::new("ui-bridge", |count| {
                let bridge = Bridge::open()?;
                browser(count, Some(&bridge.address))
            }),
        ],
        &only,
    )
}

/// Drives the pages in Chromium: over their own fake, or over a studio behind the bridge.
fn browser(count: &mut Count, bridge: Option<&str>) -> Result<()> {
    let mut tests = ui::npm(&["run", "e2e"]);
    if let Some(chromium) = needs::chromium() {
        tests.env("CHROMIUM", chromium);
    }
    match bridge {
        Some(address) => tests.env("IDIOLECT_BRIDGE_URL", address),
        None => tests.env_remove("IDIOLECT_BRIDGE_URL"),
    };
    watch(&mut tests, |line| count.read(line))
}

/// A studio with an empty home behind the browser bridge, until it is dropped.
struct Bridge {
    process: Child,
    home: PathBuf,
    address: String,
}

impl Bridge {
    fn open() -> Result<Self> {
        let home = target_dir()?
            .join("xtask")
            .join(format!("bridge-{}", std::process::id()));
        let mut serve = command(
            built("debug", "idiolect")?,
            &["serve", "--ui-bridge", "--home"],
        );
        let mut process = serve
            .arg(&home)
            .env("IDIOLECT_MODELS", models()?)
            .stdout(Stdio::piped())
            .spawn()
            .context("the bridge could not be started")?;
        let mut address = String::new();
        if let Some(printed) = process.stdout.take() {
            BufReader::new(printed).read_line(&mut address)?;
        }
        let bridge = Self {
            process,
            home,
            address: address.trim().to_owned(),
        };
        ensure!(
            bridge.address.starts_with("http://127.0.0.1:"),
            "the bridge named no address"
        );
        Ok(bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It may have ended already, and a folder left behind lies among what cargo builds.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
        let _removed = fs::remove_dir_all(&self.home);
    }
}

fn with_features<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<&'a str> {
    [before, FEATURES, after].concat()
}

/// Where the tests' models lie: a folder of the person's choice, else beside what cargo builds.
fn models() -> Result<PathBuf> {
    let folder = match env::var_os("IDIOLECT_MODELS") {
        Some(folder) => PathBuf::from(folder),
        None => target_dir()?.join("models"),
    };
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
