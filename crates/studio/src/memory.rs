//! Memory that is free now, and whether a model fits into it: said in words with numbers before anything is loaded.
//!
//! Free is what the system calls available, or less where a control group (a container, a service) may not take as much, or
//! where the person sets a limit with `IDIOLECT_MEMORY`. Linux says both; elsewhere unknown is unknown, and refuses nothing.

use std::path::{Path, PathBuf};

use idiolect_core::{ErrorCode, UserError};
use idiolect_engine::Estimate;

/// A limit of the person's own: "600M", "2G", or bytes.
const LIMIT: &str = "IDIOLECT_MEMORY";
/// Tokens of context that a load is expected to be used with: four drafts of a long prompt, or one of a very long one.
const EXPECTED_TOKENS: usize = 4096;

/// Memory that could be used now, bytes; `None` where the system does not say.
pub(crate) fn free_bytes() -> Option<u64> {
    let limit = std::env::var(LIMIT).ok();
    free_under(Path::new("/"), limit.as_deref())
}

/// The same of a system whose `/proc` and `/sys` lie under `root`.
fn free_under(root: &Path, limit: Option<&str>) -> Option<u64> {
    let available = std::fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| number_after(&text, "MemAvailable:"))
        .map(|kilobytes| kilobytes * 1024);
    [available, left_in_group(root), limit.and_then(parsed)]
        .into_iter()
        .flatten()
        .min()
}

/// What this process's control groups leave it: the tightest from its own up to the root of what it sees.
fn left_in_group(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (mount, names) = if controllers.is_empty() {
            (
                "sys/fs/cgroup",
                ["memory.max", "memory.current", "inactive_file"],
            )
        } else if controllers.split(',').any(|c| c == "memory") {
            let names = [
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            ];
            ("sys/fs/cgroup/memory", names)
        } else {
            continue;
        };
        let mount = root.join(mount);
        let mut folder: PathBuf = mount.join(path.trim_start_matches('/'));
        while folder.starts_with(&mount) {
            if let Some(left) = left_in(&folder, &names) {
                least = Some(least.map_or(left, |l| l.min(left)));
            }
            if !folder.pop() {
                break;
            }
        }
    }
    least
}

/// Limit less usage; pages of files that nobody looked at lately can be had back.
fn left_in(folder: &Path, [limit, usage, inactive]: &[&str; 3]) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    // "max" is no number: no limit.
    let limit: u64 = read(limit)?.trim().parse().ok()?;
    let usage: u64 = read(usage)?.trim().parse().ok()?;
    let back = read("memory.stat")
        .and_then(|text| number_after(&text, &format!("{inactive} ")))
        .unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(back)))
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn parsed(limit: &str) -> Option<u64> {
    let limit = limit.trim().trim_end_matches(['B', 'b']);
    let (digits, unit) = match limit.char_indices().next_back()? {
        (at, 'K' | 'k') => (&limit[..at], 1_000),
        (at, 'M' | 'm') => (&limit[..at], 1_000_000),
        (at, 'G' | 'g') => (&limit[..at], 1_000_000_000),
        _ => (limit, 1),
    };
    let number: f64 = digits.trim().parse().ok()?;
    (number >= 0.0).then_some((number * f64::from(unit)) as u64)
}

/// What a load would take and whether there is as much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) needed: u64,
    pub(crate) free: Option<u64>,
    /// In words with numbers.
    pub(crate) words: String,
}

impl Fit {
    pub(crate) fn of(estimate: &Estimate, free: Option<u64>) -> Self {
        let tokens = estimate.context().min(EXPECTED_TOKENS);
        let parts = estimate.parts(tokens);
        let free_words = free.map_or_else(
            || "this system does not say how much is free".to_owned(),
            |free| format!("{} are free", size(free)),
        );
        Self {
            needed: parts.total(),
            free,
            words: format!(
                "It takes about {} (weights {}, {tokens} tokens of context {}, working space {}); {free_words}.",
                size(parts.total()),
                size(parts.weights),
                size(parts.cache),
                size(parts.working)
            ),
        }
    }

    pub(crate) fn fits(&self) -> bool {
        self.free.is_none_or(|free| self.needed <= free)
    }

    /// The refusal, which the person may override.
    pub(crate) fn check(&self, name: &str) -> Result<(), UserError> {
        if self.fits() {
            return Ok(());
        }
        Err(UserError::new(
            ErrorCode::MemoryShort,
            format!("There is too little free memory for {name}. {}", self.words),
            "Close other programs, use a smaller model, or load it anyway: `--anyway`, or Load anyway in the window. The system may then become slow or end the program.",
        ))
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal: 9000000 kB\nMemFree: 10 kB\nMemAvailable:    4000000 kB\n",
    );

    #[test]
    fn the_tightest_limit_counts() {
        let plain = system(&[MEMINFO]);
        assert_eq!(free_under(plain.path(), None), Some(4_096_000_000));
        assert_eq!(free_under(plain.path(), Some("1.5G")), Some(1_500_000_000));
        assert_eq!(free_under(plain.path(), Some("600MB")), Some(600_000_000));
        assert_eq!(
            free_under(plain.path(), Some("plenty")),
            Some(4_096_000_000)
        );
        let version_2 = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/app.slice/studio.scope\n"),
            ("sys/fs/cgroup/app.slice/studio.scope/memory.max", "max\n"),
            ("sys/fs/cgroup/app.slice/studio.scope/memory.current", "5\n"),
            ("sys/fs/cgroup/app.slice/memory.max", "1000000\n"),
            ("sys/fs/cgroup/app.slice/memory.current", "700000\n"),
            (
                "sys/fs/cgroup/app.slice/memory.stat",
                "anon 5\ninactive_file 200000\n",
            ),
        ]);
        assert_eq!(
            free_under(version_2.path(), None),
            Some(500_000),
            "the parent's limit, with the files' pages that can be had back"
        );
        let version_1 = system(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/box\n"),
            ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "3000\n"),
            ("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1000\n"),
        ]);
        assert_eq!(free_under(version_1.path(), None), Some(2000));
        assert_eq!(
            free_under(system(&[]).path(), None),
            None,
            "unknown is not 0"
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiny.gguf");
        let tiny = idiolect_llm::testing::TinyGguf::default();
        std::fs::write(&path, idiolect_llm::testing::tiny_gguf(&tiny)).unwrap();
        let estimate = idiolect_engine::Engine::estimate(&path).unwrap();
        let fit = Fit::of(&estimate, Some(1000));
        let error = fit.check("Tiny").unwrap_err();
        assert_eq!(error.code, ErrorCode::MemoryShort);
        for word in [
            "Tiny",
            "weights",
            "256 tokens of context",
            "working space",
            "0 MB are free",
        ] {
            assert!(error.message.contains(word), "{}", error.message);
        }
        assert!(error.hint.contains("--anyway"), "{}", error.hint);
        assert!(Fit::of(&estimate, Some(fit.needed)).check("Tiny").is_ok());
        assert!(
            Fit::of(&estimate, None).check("Tiny").is_ok(),
            "unknown refuses nothing"
        );
    }
}
