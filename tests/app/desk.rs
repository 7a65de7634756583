//! A desk to put a window on: a display, a home that is thrown away, WebKit's driver, the app.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;

/// The app with its embedded pages, as cargo built it for these tests.
pub const APP: &str = env!("CARGO_BIN_EXE_idiolect-studio");

/// Longer than any journey takes on a slow machine.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// A process that ends with its owner, and after [`LONGEST`] in any case: a driver that never
/// answers would otherwise be waited for without end, with nothing said of where.
pub struct Owned {
    child: Arc<Mutex<Child>>,
    _alive: Sender<()>,
}

impl Owned {
    fn new(child: Child) -> Self {
        let child = Arc::new(Mutex::new(child));
        let (alive, watched) = channel();
        let late = Arc::clone(&child);
        thread::spawn(move || {
            if watched.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                eprintln!("a window's helper is still wanted after {LONGEST:?}: it is ended");
                end(&late);
            }
        });
        Self {
            child,
            _alive: alive,
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn end(child: &Mutex<Child>) {
    let mut child = child.lock().expect("nobody panics while ending it");
    // It may have ended already.
    let _ended = child.kill();
    let _reaped = child.wait();
}

/// A display, a driver and a home; windows opened here one after another share the home.
pub struct Desk {
    pub folder: Arc<TempDir>,
    pub display: String,
    port: u16,
    _driver: Owned,
    _display: Arc<Owned>,
}

impl Desk {
    /// Sets up a desk with an empty home.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["home", "user", "run"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        let (server, display) = display();
        Self::with(Arc::new(folder), display, Arc::new(server))
    }

    /// A second driver on the same display and home, for a window beside the first: a driver opens one at a time.
    pub fn beside(&self) -> Self {
        Self::with(
            Arc::clone(&self.folder),
            self.display.clone(),
            Arc::clone(&self._display),
        )
    }

    fn with(folder: Arc<TempDir>, display: String, server: Arc<Owned>) -> Self {
        let port = free_port();
        let mut driver = Command::new("WebKitWebDriver");
        driver
            .args([format!("--port={port}"), "--host=127.0.0.1".into()])
            .env("DISPLAY", &display)
            .env("TAURI_AUTOMATION", "true")
            .env("TAURI_WEBVIEW_AUTOMATION", "true");
        for (key, value) in environment(folder.path()) {
            driver.env(key, value);
        }
        let driver = driver
            .stdin(Stdio::null())
            .spawn()
            .expect("WebKitWebDriver starts; Debian's package is webkit2gtk-driver");
        let driver = Owned::new(driver);
        wait_for("the driver to listen", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self {
            folder,
            port,
            _driver: driver,
            _display: server,
            display,
        }
    }

    /// Where the person's data lies.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Opens the window through `program`: the app, or something that starts it.
    pub async fn open(&self, program: &Path) -> Client {
        let capabilities = json!({
            "webkitgtk:browserOptions": { "binary": program, "args": [] },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().expect("an object").clone());
        builder
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .expect("the driver starts the app and finds its page")
    }

    /// A program that runs the app and writes every network call of it and its children to a file.
    pub fn traced(&self) -> (PathBuf, PathBuf) {
        let (program, log) = (
            self.folder.path().join("traced"),
            self.folder.path().join("trace"),
        );
        let script = format!(
            "#!/bin/sh\nexec strace -f -qq --seccomp-bpf -A -e trace=network -o '{}' '{APP}' \"$@\"\n",
            log.display()
        );
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
        (program, log)
    }

    /// Kills the app that is open on this desk's home, as a crash would. The driver that opened it may
    /// never answer again (a message to the app that is lost gets no reply): the next window is opened
    /// from a desk [`beside`](Self::beside) this one.
    pub fn kill_app(&self) {
        let process = self.app_process().to_string();
        let killed = Command::new("kill").args(["-9", &process]).status();
        assert!(
            killed.is_ok_and(|status| status.success()),
            "the app is killed"
        );
        // Its locks are freed only once its last thread is gone, which takes a large process a while.
        let threads = PathBuf::from(format!("/proc/{process}/task"));
        wait_for("the killed app to be gone", || {
            let left = fs::read_dir(&threads).map_or(0, Iterator::count);
            let state = fs::read_to_string(threads.join(&process).join("stat")).unwrap_or_default();
            // Nobody may ever ask how it ended: then its first thread stays, as a zombie.
            left == 0 || (left == 1 && state.contains(") Z "))
        });
    }

    /// Answers the system's own file dialog of that title, which the page's driver cannot reach, by keyboard.
    pub fn answer_dialog(&self, title: &str, path: &Path) {
        self.xdotool(&[
            "search",
            "--sync",
            "--onlyvisible",
            "--name",
            title,
            "windowfocus",
            "--sync",
        ]);
        // A slash opens the dialog's line for paths, which loses what is typed before it is there; it completes by itself what
        // was typed, in its own time.
        let path = path.to_str().expect("a plain path");
        for typed in ["/", path.strip_prefix('/').expect("a whole path")] {
            self.xdotool(&["type", "--delay", "40", typed]);
            thread::sleep(Duration::from_secs(1));
        }
        self.xdotool(&["key", "Return"]);
    }

    fn xdotool(&self, arguments: &[&str]) {
        let done = Command::new("timeout")
            .arg("60")
            .arg("xdotool")
            .args(arguments)
            .env("DISPLAY", &self.display)
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "xdotool {arguments:?}; Debian's package is xdotool"
        );
    }

    fn app_process(&self) -> u32 {
        let home = format!("IDIOLECT_HOME={}", self.home().display());
        let ours = |pid: &u32| {
            let of = |what: &str| PathBuf::from(format!("/proc/{pid}/{what}"));
            fs::read_link(of("exe")).is_ok_and(|exe| exe == Path::new(APP))
                && fs::read(of("environ")).is_ok_and(|all| {
                    all.split(|byte| *byte == 0)
                        .any(|entry| entry == home.as_bytes())
                })
        };
        fs::read_dir("/proc")
            .expect("Linux")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .find(ours)
            .expect("the app is running")
    }
}

/// What the app may know of its surroundings: nothing of the person who runs the tests.
pub fn environment(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("IDIOLECT_HOME", folder.join("home")),
        ("IDIOLECT_MODELS", models()),
        ("HOME", folder.join("user")),
        ("XDG_DATA_HOME", folder.join("user/data")),
        ("XDG_CONFIG_HOME", folder.join("user/config")),
        ("XDG_CACHE_HOME", folder.join("user/cache")),
        ("XDG_RUNTIME_DIR", folder.join("run")),
        ("GSETTINGS_BACKEND", PathBuf::from("memory")),
        ("NO_AT_BRIDGE", PathBuf::from("1")),
        // Set, so that the app leaves it alone: without this renderer WebKit's pictures of the page never end.
        ("WEBKIT_DISABLE_DMABUF_RENDERER", PathBuf::from("0")),
    ]
}

/// Where the default model lies for tests.
pub fn models() -> PathBuf {
    std::env::var_os("IDIOLECT_MODELS")
        .map(PathBuf::from)
        .expect(
            "IDIOLECT_MODELS names a folder with the default model: run `cargo xtask test`, or \
         `cargo xtask models DIR` once and set it",
        )
}

/// A display that nobody looks at; its name is whichever was free.
fn display() -> (Owned, String) {
    let mut server = Command::new("Xvfb")
        .args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1400x1000x24",
            "-nolisten",
            "tcp",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb starts; Debian's package is xvfb");
    let mut answer = BufReader::new(server.stdout.take().expect("piped"));
    let mut number = String::new();
    answer
        .read_line(&mut number)
        .expect("Xvfb names its display");
    thread::spawn(move || answer.read_to_end(&mut Vec::new()));
    (Owned::new(server), format!(":{}", number.trim()))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Waits until `ready`; a minute is far more than anything here takes.
pub fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited a minute for {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
