//! Every invariant of docs/ARCHITECTURE.md names a test, and the test is there.
//!
//! An invariant is a line that begins with `Invariant:` and ends with ``Test: `path::name`.`` (several are
//! joined by commas); the name is a Rust test's function or a JavaScript test's title.

use anyhow::Result;

use crate::shell::read;

const MAP: &str = "docs/ARCHITECTURE.md";

/// Every invariant without a test.
pub fn breaches(files: &[String]) -> Result<Vec<String>> {
    let map = read(MAP)?;
    let mut breaches = Vec::new();
    let mut invariants = 0;
    for (number, line) in map.lines().enumerate() {
        let line = line.trim_start_matches(['-', ' ']);
        if !line.starts_with("Invariant:") {
            continue;
        }
        invariants += 1;
        let tests = tests_of(line);
        if tests.is_empty() {
            breaches.push(format!("{MAP}:{}: names no test", number + 1));
        }
        for (path, name) in tests {
            if !files.iter().any(|file| file == path) || !holds(&read(path)?, name) {
                breaches.push(format!(
                    "{MAP}:{}: there is no test `{name}` in {path}",
                    number + 1
                ));
            }
        }
    }
    if invariants == 0 {
        breaches.push(format!("{MAP}: no line begins with `Invariant:`"));
    }
    Ok(breaches)
}

/// The `path::name` pairs after the last `Test:` or `Tests:`.
fn tests_of(line: &str) -> Vec<(&str, &str)> {
    let Some(at) = line.rfind("Test") else {
        return Vec::new();
    };
    line[at..]
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|test| test.rsplit_once("::"))
        .collect()
}

fn holds(text: &str, name: &str) -> bool {
    text.contains(&format!("fn {name}("))
        || ['"', '\'', '`']
            .iter()
            .any(|q| text.contains(&format!("{q}{name}{q}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_read_from_the_end_of_the_line() {
        let line = "Invariant: `x` holds. Tests: `a/b.rs::one`, `c.mjs::two words`.";
        assert_eq!(tests_of(line), [("a/b.rs", "one"), ("c.mjs", "two words")]);
        assert_eq!(tests_of("Invariant: nothing is tested."), []);
    }

    #[test]
    fn a_test_is_there_when_it_is_defined_and_not_when_it_is_mentioned() {
        assert!(holds("#[test]\nfn one() {}", "one"), "a Rust test");
        assert!(
            holds("test(\"two words\", async () => {", "two words"),
            "a JavaScript test"
        );
        assert!(!holds("// see fn_one and one", "one"), "only mentioned");
    }
}
