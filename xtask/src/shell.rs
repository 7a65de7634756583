//! Running other programs, with words for what failed.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The top of the repository.
pub fn root() -> &'static Path {
    // xtask lies one folder below the top.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// A command that runs at the top of the repository and reads nothing.
pub fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    command
}

/// The cargo that runs us.
pub fn cargo(arguments: &[&str]) -> Command {
    command(env::var_os("CARGO").unwrap_or("cargo".into()), arguments)
}

/// Runs to the end, its output going where ours goes.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{} could not be started", words(command)))?;
    ensure!(status.success(), "{} failed ({status})", words(command));
    Ok(())
}

/// Runs to the end and returns what it printed.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} could not be started", words(command)))?;
    ensure!(
        output.status.success(),
        "{} failed ({})",
        words(command),
        output.status
    );
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no text", words(command)))
}

/// Runs to the end, printing each line of its standard output as it comes and showing it to `seen`.
pub fn watch(command: &mut Command, mut seen: impl FnMut(&str)) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", words(command)))?;
    if let Some(printed) = child.stdout.take() {
        for line in BufReader::new(printed).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            std::io::stdout().flush()?;
            seen(&line);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{} failed ({status})", words(command));
    Ok(())
}

/// Whether a program can be started and ends well.
pub fn works(program: &str, arguments: &[&str]) -> bool {
    command(program, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A command as one would type it.
pub fn words(command: &Command) -> String {
    let mut words = vec![
        Path::new(command.get_program())
            .file_name()
            .unwrap_or(command.get_program()),
    ];
    words.extend(command.get_args());
    let words: Vec<_> = words.into_iter().map(OsStr::to_string_lossy).collect();
    format!("`{}`", words.join(" "))
}

/// What cargo knows about the workspace; `dependencies` also about everything it builds on.
pub fn metadata(arguments: &[&str]) -> Result<Value> {
    let mut all = vec!["metadata", "--format-version", "1", "--locked"];
    all.extend(arguments);
    serde_json::from_str(&output(&mut cargo(&all))?).context("cargo metadata printed no JSON")
}

/// Where cargo builds.
pub fn target_dir() -> Result<PathBuf> {
    let metadata = metadata(&["--no-deps"])?;
    let folder = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target folder")?;
    Ok(PathBuf::from(folder))
}

/// Paths, relative to the top, of the files that git tracks or would track.
pub fn tracked() -> Result<Vec<String>> {
    let listed = output(&mut command(
        "git",
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    ))?;
    let mut files: Vec<String> = listed
        .split('\0')
        .filter(|path| !path.is_empty() && root().join(path).is_file())
        .map(Into::into)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// Reads a file named relative to the top.
pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("{path} cannot be read"))
}

/// `a.b.c` of a version as numbers; what is no number counts as 0.
pub fn version(text: &str) -> Result<[u32; 3]> {
    let mut numbers = [0; 3];
    let text = text.trim().trim_start_matches('v');
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        bail!("`{text}` is no version");
    }
    for (number, part) in numbers.iter_mut().zip(text.split('.')) {
        *number = part.parse().unwrap_or(0);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_compare_by_number() {
        let of = |text| version(text).expect("a version");
        assert!(
            of("v20.19.0") >= [20, 19, 0],
            "exactly the least that is needed"
        );
        assert!(of("v20.9.1") < [20, 19, 0], "9 is less than 19");
        assert!(of("24.1.0-rc.1") >= [20, 19, 0], "newer");
        assert!(version("not found").is_err(), "words are no version");
    }
}
