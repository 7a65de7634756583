//! Transfers against a local server that speaks the hub's API: ranges, a file that changes, a wrong hash,
//! a cut connection, a full disk, a gate.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
};

use idiolect_core::ErrorCode;
use idiolect_llm::Cancel;
use sha2::{Digest, Sha256};

use super::{
    hub,
    transfer::{Promise, client, fetch, partial_path},
    verify::{Verified, hex},
};

/// What the server does with the next file request.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Serve,
    /// Sends this many bytes and closes.
    Cut(usize),
    Status(u16),
    /// Ignores the range and sends the file whole, as a changed file is.
    Changed,
}

#[derive(Default)]
struct Seen {
    ranges: Vec<Option<String>>,
}

struct Hub {
    endpoint: String,
    file: Arc<Vec<u8>>,
    moods: Arc<Mutex<Vec<Mood>>>,
    seen: Arc<Mutex<Seen>>,
}

impl Hub {
    /// Serves until the test process ends; `moods` are used up in order, then it serves plainly.
    fn start(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let file = Arc::new(
            (0..300_000u32)
                .map(|i| (i * 7 % 251) as u8)
                .collect::<Vec<u8>>(),
        );
        let moods = Arc::new(Mutex::new(moods.to_vec()));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (f, m, s) = (Arc::clone(&file), Arc::clone(&moods), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &f, &m, &s);
            }
        });
        Self {
            endpoint,
            file,
            moods,
            seen,
        }
    }

    fn url(&self) -> String {
        format!(
            "{}/maker/model-GGUF/resolve/c0ffee/model-Q4_K_M.gguf",
            self.endpoint
        )
    }

    fn promise(&self) -> Promise {
        let mut hasher = Sha256::new();
        hasher.update(&*self.file);
        Promise {
            bytes: self.file.len() as u64,
            sha256: hex(hasher),
        }
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().ranges.clone()
    }

    fn fetch(&self, target: &Path, promise: &Promise) -> Result<(), idiolect_core::UserError> {
        fetch(
            &client(),
            &self.url(),
            promise,
            target,
            &Cancel::new(),
            |_| {},
        )
    }
}

fn answer(mut stream: TcpStream, file: &[u8], moods: &Mutex<Vec<Mood>>, seen: &Mutex<Seen>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let path = head.split_whitespace().nth(1).unwrap_or("").to_owned();
    let header = |name: &str| {
        head.lines().find_map(|l| {
            l.to_lowercase()
                .strip_prefix(&format!("{name}: "))
                .map(str::to_owned)
        })
    };
    if path.starts_with("/api/models/") {
        let body = if path.contains("gated") {
            let _ = write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return;
        } else {
            let mut hasher = Sha256::new();
            hasher.update(file);
            format!(
                r#"{{"sha":"c0ffee","cardData":{{"license":"apache-2.0"}},"siblings":[
                {{"rfilename":"README.md"}},
                {{"rfilename":"model-IQ4_K_M.gguf","lfs":{{"sha256":"00","size":1}}}},
                {{"rfilename":"model-Q4_K_M.gguf","lfs":{{"sha256":"{}","size":{}}}}}]}}"#,
                hex(hasher),
                file.len()
            )
        };
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        return;
    }
    let range = header("range");
    seen.lock().unwrap().ranges.push(range.clone());
    let mood = {
        let mut moods = moods.lock().unwrap();
        if moods.is_empty() {
            Mood::Serve
        } else {
            moods.remove(0)
        }
    };
    if let Mood::Status(status) = mood {
        let _ = write!(
            stream,
            "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        return;
    }
    let start = match (mood, range) {
        (Mood::Changed, _) | (_, None) => 0,
        (_, Some(range)) => range
            .trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse::<usize>()
            .unwrap(),
    };
    let rest = &file[start..];
    let status = if start > 0 {
        format!(
            "206 Partial Content\r\ncontent-range: bytes {start}-{}/{}",
            file.len() - 1,
            file.len()
        )
    } else {
        "200 OK".to_owned()
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\netag: \"e1\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        rest.len()
    );
    let _ = match mood {
        Mood::Cut(n) => stream.write_all(&rest[..n.min(rest.len())]),
        _ => stream.write_all(rest),
    };
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Cut(50_000)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    hub.fetch(&target, &hub.promise()).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), *hub.file);
    let ranges = hub.ranges();
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], None);
    assert!(
        ranges[1].is_some() && ranges[2].is_some(),
        "it asked for the rest only: {ranges:?}"
    );
    assert!(Verified::of(&target).is_some(), "the check is recorded");
    assert!(!partial_path(&target).exists(), "nothing is left beside it");
}

#[test]
fn a_transfer_survives_the_end_of_the_program() {
    let hub = Hub::start(&[
        Mood::Cut(120_000),
        Mood::Status(503),
        Mood::Status(503),
        Mood::Status(503),
        Mood::Status(503),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let error = hub.fetch(&target, &hub.promise()).unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    assert!(
        !target.exists(),
        "an unfinished file never has the model's name"
    );
    let kept = std::fs::metadata(partial_path(&target)).unwrap().len();
    assert!(kept > 0, "what arrived is kept");
    hub.moods.lock().unwrap().clear();
    hub.fetch(&target, &hub.promise()).unwrap();
    assert_eq!(
        hub.ranges().last().unwrap().as_deref(),
        Some(format!("bytes={kept}-").as_str())
    );
}

#[test]
fn a_file_that_changed_under_its_address_is_fetched_whole() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Changed]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    hub.fetch(&target, &hub.promise()).unwrap();
    assert_eq!(
        std::fs::read(&target).unwrap(),
        *hub.file,
        "no splice of two files"
    );
}

#[test]
fn a_wrong_hash_is_thrown_away() {
    let hub = Hub::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let promise = Promise {
        sha256: "0".repeat(64),
        ..hub.promise()
    };
    let error = hub.fetch(&target, &promise).unwrap_err();
    assert_eq!(error.code, ErrorCode::ChecksumMismatch);
    assert!(
        !target.exists() && !partial_path(&target).exists(),
        "nothing unverified stays"
    );
    let promise = Promise {
        bytes: hub.promise().bytes - 5,
        ..hub.promise()
    };
    assert_eq!(
        hub.fetch(&target, &promise).unwrap_err().code,
        ErrorCode::ChecksumMismatch,
        "more than promised"
    );
}

#[test]
fn another_promise_starts_over() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Status(404)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let old = Promise {
        sha256: "1".repeat(64),
        ..hub.promise()
    };
    assert_eq!(
        hub.fetch(&target, &old).unwrap_err().code,
        ErrorCode::SourceUnreachable
    );
    hub.fetch(&target, &hub.promise()).unwrap();
    assert_eq!(
        *hub.ranges().last().unwrap(),
        None,
        "bytes of another file are not built upon"
    );
}

#[test]
fn a_gate_a_silent_host_and_a_stop_are_told_apart() {
    let hub = Hub::start(&[Mood::Status(403)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    assert_eq!(
        hub.fetch(&target, &hub.promise()).unwrap_err().code,
        ErrorCode::LicenceRequired
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/x", silent.local_addr().unwrap());
    drop(silent);
    let error = fetch(
        &client(),
        &nobody,
        &hub.promise(),
        &target,
        &Cancel::new(),
        |_| {},
    )
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    assert!(error.hint.contains("import"), "it says what to do instead");

    let stopped = Cancel::new();
    stopped.cancel();
    let error = fetch(
        &client(),
        &hub.url(),
        &hub.promise(),
        &target,
        &stopped,
        |_| {},
    )
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::Cancelled);
}

/// Writing to /dev/full fails as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_model_does_not_appear() {
    let hub = Hub::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    std::os::unix::fs::symlink("/dev/full", partial_path(&target)).unwrap();
    let error = hub.fetch(&target, &hub.promise()).unwrap_err();
    assert_eq!(error.code, ErrorCode::DiskFull, "{error:?}");
    assert!(!target.exists());
}

#[test]
fn the_hub_s_own_metadata_name_the_file_its_size_and_its_hash() {
    let hub = Hub::start(&[]);
    let file = hub::resolve(&client(), &hub.endpoint, "maker/model-GGUF", "Q4_K_M").unwrap();
    assert_eq!(file.promise, hub.promise());
    assert_eq!(
        file.url,
        hub.url(),
        "pinned to the commit, and not the IQ4 file"
    );
    assert_eq!(file.licence.as_deref(), Some("apache-2.0"));
    let missing = hub::resolve(&client(), &hub.endpoint, "maker/model-GGUF", "Q2_K").unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
    let gated = hub::resolve(&client(), &hub.endpoint, "maker/gated-GGUF", "Q4_K_M").unwrap_err();
    assert_eq!(gated.code, ErrorCode::LicenceRequired);
}
