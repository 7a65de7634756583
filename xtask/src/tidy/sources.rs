//! What a source file may hold: how long it is, whose paths and hosts it names, `unsafe`.

use anyhow::Result;

use crate::shell::read;

/// A file longer than this deserves a hard look: said, not refused.
const LONG: usize = 600;
/// A file longer than this is refused.
const TOO_LONG: usize = 800;

/// Tables that are long because what they list is long: nobody reads them from top to bottom.
const TABLES: &[&str] = &["crates/text/src/catalog.rs", "crates/text/src/lexicons.rs"];

/// Folders of single machines. In pieces, so that this file does not hold them.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/tm", "p/"),
];
/// Hosts of package registries, likewise.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("deb.", "debian.org"),
];

/// Every breach in the given files.
pub fn breaches(files: &[String]) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for path in files.iter().filter(|path| is_text(path)) {
        let text = read(path)?;
        breaches.extend(named_places(path, &text));
        breaches.extend(length(path, &text));
        if path.ends_with(".rs") {
            breaches.extend(unsafety(path, &text));
        }
    }
    Ok(breaches)
}

fn is_text(path: &str) -> bool {
    let kinds = [
        ".rs", ".toml", ".md", ".ts", ".js", ".mjs", ".svelte", ".css", ".html", ".json", ".sh",
        ".yml", ".txt", ".ci/run",
    ];
    kinds.iter().any(|kind| path.ends_with(kind)) && !path.ends_with("package-lock.json")
}

fn named_places(path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for place in MACHINE_PATHS
            .iter()
            .filter(|place| names_folder(line, place))
        {
            breaches.push(format!(
                "{path}:{}: names a folder of one machine ({place})",
                number + 1
            ));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(**host)) {
            breaches.push(format!(
                "{path}:{}: names a package registry's host ({host})",
                number + 1
            ));
        }
    }
    breaches
}

/// Whether a line holds an absolute path that begins with `folder`, and not one that only contains it.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| {
            c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}' | '~' | '*')
        })
    })
}

fn length(path: &str, text: &str) -> Option<String> {
    let source = [".rs", ".ts", ".svelte", ".css", ".mjs"]
        .iter()
        .any(|kind| path.ends_with(kind));
    let lines = text.lines().count();
    if !source || path.contains("/generated/") || TABLES.contains(&path) || lines <= LONG {
        return None;
    }
    if lines > TOO_LONG {
        return Some(format!("{path}: {lines} lines; at most {TOO_LONG}"));
    }
    eprintln!("note: {path} has {lines} lines: worth a look whether it is one thing");
    None
}

/// `unsafe` lives in the kernels, and in one commented block where the app starts.
fn unsafety(path: &str, text: &str) -> Vec<String> {
    if path.starts_with("crates/kernels/") {
        return Vec::new();
    }
    let allowed = usize::from(path == "src-tauri/src/main.rs");
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let blocks = code.filter(|line| is_unsafe(line)).count();
    let mut breaches = Vec::new();
    if blocks > allowed {
        breaches.push(format!("{path}: {blocks} unsafe blocks; {allowed} allowed"));
    }
    let root = path.ends_with("src/lib.rs") || (path.ends_with("src/main.rs") && allowed == 0);
    if root && !text.contains("#![forbid(unsafe_code)]") {
        breaches.push(format!("{path}: lacks #![forbid(unsafe_code)]"));
    }
    breaches
}

fn is_unsafe(code: &str) -> bool {
    let keyword = concat!("un", "safe");
    ["{", "fn", "impl", "extern", "trait"]
        .iter()
        .any(|next| code.contains(&format!("{keyword} {next}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_and_hosts_are_found_and_relative_paths_are_not() {
        let home = MACHINE_PATHS[2];
        assert_eq!(
            named_places("a.rs", &format!("open(\"{home}ada/x\")")).len(),
            1,
            "an absolute path"
        );
        assert_eq!(
            named_places("a.rs", &format!("open(\"../shared{home}x\")")).len(),
            0,
            "inside a relative one"
        );
        assert_eq!(
            named_places("a.md", &format!("see {}", REGISTRY_HOSTS[0])).len(),
            1,
            "a registry"
        );
    }

    #[test]
    fn unsafe_is_allowed_in_the_kernels_and_once_at_the_apps_start() {
        let block = format!("{} {{ f() }}", concat!("un", "safe"));
        assert_eq!(
            unsafety("crates/kernels/src/x86/mod.rs", &block).len(),
            0,
            "the kernels"
        );
        assert_eq!(
            unsafety("src-tauri/src/main.rs", &block).len(),
            0,
            "one at the start"
        );
        assert_eq!(
            unsafety("src-tauri/src/main.rs", &format!("{block}\n{block}")).len(),
            1,
            "not two"
        );
        assert_eq!(
            unsafety("crates/text/src/chunk.rs", &block).len(),
            1,
            "nowhere else"
        );
        assert_eq!(
            unsafety("crates/text/src/chunk.rs", &format!("// {block}")).len(),
            0,
            "a comment is none"
        );
        assert_eq!(
            unsafety("crates/text/src/lib.rs", "").len(),
            1,
            "a crate has to forbid it"
        );
    }

    #[test]
    fn a_long_file_is_refused_and_a_generated_one_is_not() {
        let text = "x\n".repeat(TOO_LONG + 1);
        assert!(
            length("crates/text/src/lib.rs", &text).is_some(),
            "too long"
        );
        assert!(
            length("ui/src/lib/generated/bindings.ts", &text).is_none(),
            "nobody reads it"
        );
        assert!(
            length("crates/text/src/lib.rs", &"x\n".repeat(LONG)).is_none(),
            "long enough"
        );
    }
}
