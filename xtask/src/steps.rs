//! Steps with names, times and a table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Tests counted in what the runners print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Count {
    /// Takes in a line of cargo's, vitest's or Node's summary; any other line changes nothing.
    pub fn read(&mut self, line: &str) {
        let line = plain(line);
        let line = line.trim();
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.skipped += number_before(result, " ignored");
        } else if let Some(result) = line.strip_prefix("Tests ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.skipped += number_before(result, " skipped");
        } else if let Some((word, number)) =
            line.trim_start_matches(['#', 'ℹ', ' ']).split_once(' ')
        {
            let node = line.starts_with(['#', 'ℹ']);
            match (word, number.parse::<u64>()) {
                ("pass", Ok(number)) if node => self.passed += number,
                ("fail", Ok(number)) if node => self.failed += number,
                ("skipped", Ok(number)) if node => self.skipped += number,
                _ => {}
            }
        }
    }
}

/// The number that stands right before `word`; 0 where there is none.
fn number_before(line: &str, word: &str) -> u64 {
    let before = line.find(word).map(|at| &line[..at]).unwrap_or_default();
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Without terminal colours.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        if next == '\u{1b}' {
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(next);
        }
    }
    text
}

/// What a step does; it adds the tests that it saw to the count.
type Work<'a> = Box<dyn FnOnce(&mut Count) -> Result<()> + 'a>;

/// One step of a run.
pub struct Step<'a> {
    pub name: &'static str,
    pub work: Work<'a>,
}

impl<'a> Step<'a> {
    pub fn new(name: &'static str, work: impl FnOnce(&mut Count) -> Result<()> + 'a) -> Self {
        Self {
            name,
            work: Box::new(work),
        }
    }
}

/// Runs the steps in order until one fails, then prints how long each took and what was counted.
pub fn run(steps: Vec<Step<'_>>, only: &[&str]) -> Result<()> {
    if let Some(unknown) = only
        .iter()
        .find(|name| steps.iter().all(|step| step.name != **name))
    {
        let names: Vec<_> = steps.iter().map(|step| step.name).collect();
        bail!(
            "there is no step `{unknown}`; there are {}",
            names.join(", ")
        );
    }
    let mut count = Count::default();
    let mut table: Vec<(&str, Duration, &str)> = Vec::new();
    let mut failure = None;
    for step in steps {
        if !only.is_empty() && !only.contains(&step.name) {
            continue;
        }
        println!("\n── {} ──", step.name);
        let start = Instant::now();
        let result = (step.work)(&mut count);
        table.push((
            step.name,
            start.elapsed(),
            if result.is_ok() { "" } else { "failed" },
        ));
        if let Err(error) = result {
            failure = Some(error.context(format!("the step `{}` failed", step.name)));
            break;
        }
    }
    let total: Duration = table.iter().map(|(_, time, _)| *time).sum();
    println!("\nstep           seconds");
    for (name, time, note) in &table {
        println!("{name:<14} {:>7.1} {note}", time.as_secs_f64());
    }
    println!("{:<14} {:>7.1}\n", "in all", total.as_secs_f64());
    if failure.is_some() && count.failed == 0 {
        // Something other than a test failed (a lint, a build): the closing line must not look well.
        count.failed = 1;
    }
    println!(
        "{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_every_runner_are_counted() {
        let mut count = Count::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m40 passed\u{1b}[39m\u{1b}[22m (40)",
            "# pass 7",
            "ℹ fail 1",
            "# tests 8",
            "pass 100 lines of something",
        ] {
            count.read(line);
        }
        assert_eq!(
            count,
            Count {
                passed: 60,
                failed: 3,
                skipped: 3
            },
            "three runners, one sum"
        );
    }

    #[test]
    fn an_unknown_step_is_refused_before_anything_runs() {
        let mut ran = false;
        let steps = vec![Step::new("one", |_| {
            ran = true;
            Ok(())
        })];
        assert!(run(steps, &["two"]).is_err(), "there is no step two");
        assert!(!ran, "nothing ran");
    }
}
