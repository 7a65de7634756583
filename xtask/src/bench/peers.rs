//! llama.cpp, built from source once an instruction level, outside of everything that the studio is built from.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{command, succeed, target_dir, works};

/// The package that carries llama.cpp's source and its bindings, with the hash of its source archive.
pub const PACKAGE: &str = "llama-cpp-python";
pub const VERSION: &str = "0.3.36";
const SHA256: &str = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e";

/// An instruction level that both sides are held to.
#[derive(Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name here and, where there is a choice, in `IDIOLECT_CPU`.
    pub name: &'static str,
    /// Whether `IDIOLECT_CPU` is set to it.
    pub forced: bool,
    /// What the processor must have, as /proc/cpuinfo spells it.
    processor: &'static [&'static str],
    /// llama.cpp's build options.
    options: &'static [&'static str],
    /// What llama.cpp must say of itself.
    has: &'static [&'static str],
    /// And what it must not.
    lacks: &'static [&'static str],
}

/// Best first.
const LEVELS: [Level; 4] = [
    Level {
        name: "amx",
        forced: true,
        processor: &["amx_int8", "amx_bf16", "avx512_vnni"],
        options: &["-DGGML_NATIVE=ON"],
        has: &["AMX_INT8 = 1", "AVX512_VNNI = 1", "OPENMP = 1"],
        lacks: &[],
    },
    Level {
        name: "avx512",
        forced: true,
        processor: &["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"],
        options: &[
            "-DGGML_NATIVE=OFF",
            "-DGGML_SSE42=ON",
            "-DGGML_AVX=ON",
            "-DGGML_AVX2=ON",
            "-DGGML_FMA=ON",
            "-DGGML_F16C=ON",
            "-DGGML_BMI2=ON",
            "-DGGML_AVX512=ON",
            "-DGGML_AVX512_VNNI=ON",
        ],
        has: &["AVX512 = 1", "AVX512_VNNI = 1", "OPENMP = 1"],
        lacks: &["AMX_INT8 = 1"],
    },
    Level {
        name: "avx2",
        forced: true,
        processor: &["avx2", "fma", "f16c", "bmi2"],
        options: &[
            "-DGGML_NATIVE=OFF",
            "-DGGML_SSE42=ON",
            "-DGGML_AVX=ON",
            "-DGGML_AVX2=ON",
            "-DGGML_FMA=ON",
            "-DGGML_F16C=ON",
            "-DGGML_BMI2=ON",
        ],
        has: &["AVX2 = 1", "FMA = 1", "OPENMP = 1"],
        lacks: &["AVX512 = 1", "AVX_VNNI = 1"],
    },
    Level {
        name: "native",
        forced: false,
        processor: &[],
        options: &["-DGGML_NATIVE=ON"],
        has: &[],
        lacks: &[],
    },
];

impl Level {
    /// The levels named, or all that a processor with these `flags` has; a processor of another family has `native` alone.
    pub fn chosen(named: &[&str], flags: &str) -> Result<Vec<&'static Level>> {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let able = |level: &&Level| level.processor.iter().all(|flag| flags.contains(flag));
        let mut all: Vec<&'static Level> = LEVELS.iter().filter(able).collect();
        if all.len() > 1 {
            all.retain(|level| level.forced);
        }
        let names: Vec<&str> = all.iter().map(|level| level.name).collect();
        for name in named {
            ensure!(
                names.contains(name),
                "there is no instruction level {name} here, but {}",
                names.join(", ")
            );
        }
        all.retain(|level| named.is_empty() || named.contains(&level.name));
        Ok(all)
    }

    /// Fails unless llama.cpp's description of its build is of this level: a crippled peer proves nothing.
    pub fn check(&self, system: &str) -> Result<()> {
        let said = |feature: &&&str| system.contains(*feature);
        if let Some(missing) = self.has.iter().find(|feature| !said(feature)) {
            bail!(
                "llama.cpp for {} was built without `{missing}`: {system}\nhint: remove target/peers/{} and try again",
                self.name,
                self.name
            );
        }
        if let Some(extra) = self.lacks.iter().find(said) {
            bail!(
                "llama.cpp for {} was built with `{extra}`: {system}",
                self.name
            );
        }
        Ok(())
    }
}

/// What the processor says it can do, as Linux spells it; empty elsewhere.
pub fn processor_flags() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with("flags"));
    lines.next().unwrap_or_default().to_owned()
}

/// The peers' folder: sources, a virtual environment with the bindings, a build a level.
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Builds what is missing for `levels`. `offline`: nothing is fetched.
    pub fn provide(levels: &[&Level], offline: bool) -> Result<Self> {
        let peers = Self {
            folder: target_dir()?.join("peers"),
        };
        let missing: Vec<_> = levels
            .iter()
            .filter(|level| !peers.library(level).exists())
            .collect();
        if missing.is_empty() && peers.python().exists() {
            return Ok(peers);
        }
        tools()?;
        fs::create_dir_all(&peers.folder)?;
        peers.source(offline)?;
        peers.bindings(offline)?;
        for level in missing {
            peers.build(level)?;
        }
        Ok(peers)
    }

    /// A command that measures the build of `level` with the peer's script.
    pub fn measure(&self, level: &Level) -> Command {
        let mut python = command(self.python(), &["tests/bench/llama_cpp.py"]);
        python.env(
            "LLAMA_CPP_LIB_PATH",
            self.folder.join(level.name).join("bin"),
        );
        python
    }

    fn unpacked(&self) -> PathBuf {
        self.folder
            .join(format!("{}-{VERSION}", PACKAGE.replace('-', "_")))
    }

    fn python(&self) -> PathBuf {
        self.folder.join("python/bin/python")
    }

    fn library(&self, level: &Level) -> PathBuf {
        let name = format!("libllama{}", env::consts::DLL_SUFFIX);
        self.folder.join(level.name).join("bin").join(name)
    }

    fn source(&self, offline: bool) -> Result<()> {
        if self
            .unpacked()
            .join("vendor/llama.cpp/CMakeLists.txt")
            .exists()
        {
            return Ok(());
        }
        let archive = self.unpacked().with_added_extension("tar.gz");
        if !archive.exists() {
            ensure!(
                !offline,
                "the source of {PACKAGE} {VERSION} is not here, and --offline forbids fetching it.\nhint: run this once without --offline, or put its source archive at {}",
                archive.display()
            );
            println!("Fetching the source of {PACKAGE} {VERSION} (77 MB) …");
            let wanted = self.folder.join("requirements.txt");
            fs::write(
                &wanted,
                format!("{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n"),
            )?;
            let fetch = ["-m", "pip", "download", "--no-deps", "--no-binary", ":all:"];
            succeed(
                command("python3", &fetch)
                    .arg("--dest")
                    .arg(&self.folder)
                    .arg("--requirement")
                    .arg(&wanted),
            )?;
        }
        succeed(
            command("python3", &["-m", "tarfile", "--extract"])
                .arg(&archive)
                .arg(&self.folder),
        )
    }

    /// The Python side alone, without the library that it would build: one environment serves every level.
    fn bindings(&self, offline: bool) -> Result<()> {
        if self.python().exists() {
            return Ok(());
        }
        ensure!(
            !offline,
            "the bindings are not installed, and --offline forbids fetching what installs them.\nhint: run this once without --offline"
        );
        let unfinished = self.folder.join("python.part");
        let _old = fs::remove_dir_all(&unfinished);
        succeed(command("python3", &["-m", "venv"]).arg(&unfinished))?;
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "typing-extensions",
        ];
        succeed(
            command(unfinished.join("bin/python"), &install)
                .arg(self.unpacked())
                .env("CMAKE_ARGS", "-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF"),
        )?;
        fs::rename(&unfinished, self.folder.join("python"))
            .context("the environment cannot be moved")
    }

    fn build(&self, level: &Level) -> Result<()> {
        let folder = self.folder.join(level.name);
        println!(
            "Building llama.cpp for {} (one to ten minutes) …",
            level.name
        );
        let started = Instant::now();
        let (c, cpp) = compilers();
        let mut configure = command("cmake", &["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
        configure.args([
            "-DBUILD_SHARED_LIBS=ON",
            "-DLLAMA_CURL=OFF",
            "-DLLAMA_BUILD_COMMON=OFF",
            "-DLLAMA_BUILD_TESTS=OFF",
            "-DLLAMA_BUILD_EXAMPLES=OFF",
            "-DLLAMA_BUILD_TOOLS=OFF",
            "-DLLAMA_BUILD_SERVER=OFF",
            "-DLLAMA_BUILD_APP=OFF",
        ]);
        configure.args(level.options).env("CC", c).env("CXX", cpp);
        configure
            .arg("-S")
            .arg(self.unpacked().join("vendor/llama.cpp"));
        succeed(quietly(configure.arg("-B").arg(&folder)))?;
        // Only what a model needs; a build that was cut short goes on where it was.
        let mut build = command("cmake", &["--build"]);
        build.arg(&folder).args(["--target", "llama"]);
        succeed(quietly(&mut build))?;
        ensure!(
            self.library(level).exists(),
            "llama.cpp built no {}",
            self.library(level).display()
        );
        println!("  took {:.0} s", started.elapsed().as_secs_f64());
        Ok(())
    }
}

fn quietly(command: &mut Command) -> &mut Command {
    command.stdout(std::process::Stdio::null())
}

/// On x86-64 Linux clang 19: with gcc 12 llama.cpp's matrix-unit path crashes, and clang 14 leaves it out.
fn compilers() -> (&'static str, &'static str) {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        ("clang-19", "clang++-19")
    } else {
        ("cc", "c++")
    }
}

/// Says exactly what to install where a tool is missing.
fn tools() -> Result<()> {
    let (c, cpp) = compilers();
    let mut missing = Vec::new();
    for (there, package) in [
        (works(c, &["--version"]) && works(cpp, &["--version"]), c),
        (
            c == "cc" || Path::new("/usr/lib/llvm-19/lib/libomp.so").exists(),
            "libomp-19-dev",
        ),
        (works("cmake", &["--version"]), "cmake"),
        (works("ninja", &["--version"]), "ninja-build"),
        (works("python3", &["-m", "pip", "--version"]), "python3-pip"),
        (
            works("python3", &["-m", "ensurepip", "--version"]),
            "python3-venv",
        ),
    ] {
        if !there {
            missing.push(package);
        }
    }
    ensure!(
        missing.is_empty(),
        "building llama.cpp to compare with needs tools that are missing: {}.\nhint: sudo apt-get install {}",
        missing.join(", "),
        missing.join(" ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAPPHIRE: &str = "flags : fma avx2 bmi2 f16c avx512f avx512bw avx512dq avx512vl avx512_vnni amx_int8 amx_bf16";

    fn names(named: &[&str], flags: &str) -> Vec<&'static str> {
        let levels = Level::chosen(named, flags).expect("levels");
        levels.iter().map(|level| level.name).collect()
    }

    #[test]
    fn a_processor_is_measured_at_each_level_it_has() {
        assert_eq!(names(&[], SAPPHIRE), ["amx", "avx512", "avx2"]);
        assert_eq!(names(&["avx2"], SAPPHIRE), ["avx2"]);
        assert_eq!(names(&[], "flags : fma avx2 bmi2 f16c"), ["avx2"]);
        assert_eq!(names(&[], ""), ["native"], "another family");
        let error = Level::chosen(&["amx"], "flags : fma avx2 bmi2 f16c").expect_err("none");
        assert!(error.to_string().contains("but avx2"), "{error}");
    }

    #[test]
    fn a_peer_of_another_level_is_refused() {
        let levels = Level::chosen(&[], SAPPHIRE).expect("levels");
        let best =
            "AVX2 = 1 | FMA = 1 | AVX512 = 1 | AVX512_VNNI = 1 | AMX_INT8 = 1 | OPENMP = 1 |";
        assert!(levels[0].check(best).is_ok());
        assert!(levels[1].check(best).is_err(), "more than its level");
        assert!(levels[2].check(best).is_err(), "more than its level");
        let bare = "AVX2 = 1 | FMA = 1 |";
        assert!(
            levels[2].check(bare).is_err(),
            "without threads worth the name"
        );
    }
}
