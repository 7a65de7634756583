//! No connection, no listener, no name look-up: read from the kernel's own record of network calls.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::desk::{Desk, environment, wait_for};

/// What a traced program may do with internet sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing at all.
    Nothing,
    /// Use one port of the loopback, where the test's own driver reaches it. WebKit does so only
    /// when `TAURI_WEBVIEW_AUTOMATION` is set, as it is here and nowhere else.
    Driver,
}

/// Every network call in a trace that is not allowed.
pub fn breaches(trace: &str, allowed: Allowed) -> Vec<String> {
    let mut ports = BTreeSet::new();
    let mut breaches = Vec::new();
    for line in trace.lines() {
        // `7 connect(9, …` or, where another call came between, `7 <... connect resumed>…`.
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let call = call
            .trim_start_matches("<... ")
            .replacen(" resumed>", "(", 1);
        // Asking the kernel for its own addresses and routes names the family and reaches nobody.
        if !call.contains("AF_INET") || call.contains("AF_NETLINK") {
            continue;
        }
        let port = call
            .split("htons(")
            .nth(1)
            .and_then(|rest| rest.split(')').next());
        let fine = match (allowed, port) {
            (Allowed::Nothing, _) => false,
            // A socket by itself reaches nobody: what is done with it is a line of its own.
            (Allowed::Driver, None) => {
                call.starts_with("socket(AF_INET,") && call.contains("SOCK_STREAM")
            }
            (Allowed::Driver, Some(port)) => {
                let local = call.contains("inet_addr(\"127.0.0.1\")");
                // The app's own processes come in by the same port as the driver.
                if local
                    && ["bind(", "connect("]
                        .iter()
                        .any(|name| call.starts_with(name))
                {
                    ports.insert(port.to_owned());
                }
                let names = [
                    "bind(",
                    "connect(",
                    "accept(",
                    "accept4(",
                    "getsockname(",
                    "getpeername(",
                ];
                local && names.iter().any(|name| call.starts_with(name))
            }
        };
        if !fine {
            breaches.push(line.to_owned());
        }
    }
    if ports.len() > 1 {
        breaches.push(format!("more than the driver's port was used: {ports:?}"));
    }
    breaches
}

/// The command line that was built together with the app.
pub fn idiolect() -> PathBuf {
    let program = Path::new(crate::desk::APP).with_file_name("idiolect");
    assert!(
        program.exists(),
        "build it first: cargo build -p idiolect-cli"
    );
    program
}

#[test]
fn a_trace_with_a_connection_a_look_up_or_another_listener_is_caught() {
    let driver = "7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 9\n\
        7 bind(9, {sa_family=AF_INET, sin_port=htons(4000), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0";
    assert_eq!(
        breaches(driver, Allowed::Driver),
        [""; 0],
        "the driver may come in"
    );
    assert_eq!(
        breaches(driver, Allowed::Nothing).len(),
        2,
        "but not where there is none"
    );
    let routes = "7 recvmsg(5, {msg_name={sa_family=AF_NETLINK}, [{rtm_family=AF_INET}]}, 0) = 9";
    assert_eq!(
        breaches(routes, Allowed::Nothing),
        [""; 0],
        "the kernel's own tables"
    );
    for line in [
        "7 connect(9, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr(\"203.0.113.5\")}, 16) = 0",
        "7 connect(9, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0",
        "7 bind(9, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0",
        "7 bind(9, {sa_family=AF_INET, sin_port=htons(4000), sin_addr=inet_addr(\"0.0.0.0\")}, 16) = 0",
        "7 socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 9",
        "7 socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = 9",
        "7 sendto(9, \"x\", 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr(\"203.0.113.5\")}, 16) = 1",
    ] {
        let found = breaches(&format!("{driver}\n{line}"), Allowed::Driver);
        assert_eq!(found.len(), 1, "must be caught: {line}");
    }
}

#[test]
fn a_window_that_nobody_drives_opens_no_internet_socket() {
    let desk = Desk::new();
    let (program, log) = desk.traced();
    let mut app = Command::new(program);
    app.env("DISPLAY", &desk.display).stdin(Stdio::null());
    for (key, value) in environment(desk.folder.path()) {
        app.env(key, value);
    }
    let mut app = app
        .spawn()
        .expect("strace starts; Debian's package is strace");
    // A few seconds more show what WebKit does by itself.
    wait_for("the display to be used", || {
        fs::read_to_string(&log).is_ok_and(|trace| trace.contains("connect("))
    });
    std::thread::sleep(std::time::Duration::from_secs(5));
    desk.kill_app();
    app.wait().expect("strace ends with the app");
    let trace = fs::read_to_string(&log).expect("strace wrote its record");
    assert_eq!(
        breaches(&trace, Allowed::Nothing),
        [""; 0],
        "nobody was reached or listened for"
    );
}

#[test]
fn the_command_line_opens_no_internet_socket() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let letter = folder.path().join("letter.txt");
    fs::write(&letter, crate::journey::LETTERS[0]).expect("written");
    let letter = letter.to_str().expect("a plain path");
    let drawing = folder.path().join("drawing.svg");
    let drawing = drawing.to_str().expect("a plain path");
    let commands: [&[&str]; 10] = [
        &["profile", "new", "Ada"],
        &["sample", "add", letter, "--profile", "Ada"],
        &["profile", "show", "--profile", "Ada", "--json"],
        &["models", "list"],
        &["infer", "--profile", "Ada", "--json"],
        &[
            "write",
            "--profile",
            "Ada",
            "--brief",
            "Ask for a day off",
            "--method",
            "base",
            "--max-tokens",
            "8",
        ],
        &["score", letter],
        &["bench", "--prompts", "16", "--decode", "4"],
        &["dimension", "set", "order", "0.5", "--profile", "Ada"],
        &["plot", "dimensions", "--profile", "Ada", "--out", drawing],
    ];
    for arguments in commands {
        untouched(folder.path(), arguments);
    }
}

/// The whole journey on the command line — texts, profile, drafts, training, votes, re-test — for two invented authors.
#[test]
fn the_demo_opens_no_internet_socket_and_every_figure_is_one() {
    let _turn = crate::journey::HEAVY.blocking_lock();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = untouched(folder.path(), &["demo", "--json", "--offline"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("a report");
    assert!(report["seconds"].as_f64().is_some_and(|s| s > 0.0));
    let authors = report["authors"].as_array().expect("authors");
    assert_eq!(authors.len(), 2);
    for author in authors {
        let bits = |voice: &str| {
            let bits = author["bits_per_token"][voice].as_f64();
            bits.unwrap_or_else(|| panic!("{voice} is missing: {author}"))
        };
        for voice in ["base", "excerpts", "own", "other"] {
            assert!((0.5..17.0).contains(&bits(voice)), "{voice}: {author}");
        }
        // Fixed texts, seeds and weights: what training learns here is not luck.
        assert!(
            bits("own") < bits("base") && bits("own") < bits("other"),
            "{author}"
        );
    }
    let retest = &report["retest"];
    let (wins, n) = (retest["wins"].as_f64(), retest["n"].as_f64());
    assert!(n > Some(0.0) && wins <= n, "{retest}");
    let [low, high] = [0, 1].map(|i| retest["interval"][i].as_f64());
    assert!(
        low < high && Some(0.0) <= low && high <= Some(1.0),
        "{retest}"
    );
}

/// Runs a command that must end well without touching the network; what it said.
fn untouched(folder: &Path, arguments: &[&str]) -> String {
    let log = folder.join("trace");
    let mut traced = Command::new("timeout");
    traced
        .args(["--kill-after=10", "1800", "strace"])
        .args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=network", "-o"])
        .arg(&log);
    traced.arg(idiolect()).args(arguments).stdin(Stdio::null());
    for (key, value) in environment(folder) {
        traced.env(key, value);
    }
    let output = traced
        .output()
        .expect("strace starts; Debian's package is strace");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "idiolect {arguments:?} ends well under strace: {complaint}"
    );
    let trace = fs::read_to_string(&log).expect("strace wrote its record");
    let found = breaches(&trace, Allowed::Nothing);
    assert_eq!(
        found, [""; 0],
        "idiolect {arguments:?} must not touch the network"
    );
    String::from_utf8(output.stdout).expect("text")
}
