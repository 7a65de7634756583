//! A server on the loopback that speaks as much of the model hub's API as the studio uses, and misbehaves
//! on request.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use sha2::{Digest, Sha256};

use super::{part::Promise, verify::hex};

/// What the server does with the next file request.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Serve,
    /// Sends this many bytes and closes.
    Cut(usize),
    /// Sends this many bytes and then nothing, keeping the connection open.
    Stall(usize),
    /// Takes the request and never answers.
    Mute,
    Status(u16),
    /// The file has become its second version; whatever is asked next is asked of that one.
    Changed,
    /// Answers a range with another one.
    WrongRange,
}

pub(super) struct Hub {
    pub(super) endpoint: String,
    inner: Arc<Inner>,
}

struct Inner {
    files: [Vec<u8>; 2],
    moods: Mutex<Vec<Mood>>,
    /// Which version of the file is served.
    version: Mutex<usize>,
    ranges: Mutex<Vec<Option<String>>>,
    /// The metadata's word, as JSON.
    licence: Mutex<&'static str>,
    /// A hash the metadata state instead of the true one.
    wrong_hash: Mutex<Option<&'static str>>,
}

impl Hub {
    /// Serves until the test process ends; `moods` are used up in order, then it serves plainly.
    pub(super) fn start(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let file = |seed: u32| {
            (0..300_000u32)
                .map(|i| (i * seed % 251) as u8)
                .collect::<Vec<u8>>()
        };
        let inner = Arc::new(Inner {
            files: [file(7), file(11)],
            moods: Mutex::new(moods.to_vec()),
            version: Mutex::default(),
            ranges: Mutex::default(),
            licence: Mutex::new(r#""apache-2.0""#),
            wrong_hash: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.answer(stream));
            }
        });
        Self { endpoint, inner }
    }

    pub(super) fn url(&self) -> String {
        format!(
            "{}/maker/model-GGUF/resolve/c0ffee/model-Q4_K_M.gguf",
            self.endpoint
        )
    }

    /// The file's first or second version.
    pub(super) fn file(&self, version: usize) -> &[u8] {
        &self.inner.files[version]
    }

    pub(super) fn promise(&self, version: usize) -> Promise {
        promise(self.file(version))
    }

    /// The ranges asked for so far, one for each file request.
    pub(super) fn ranges(&self) -> Vec<Option<String>> {
        self.inner.ranges.lock().unwrap().clone()
    }

    pub(super) fn set_moods(&self, moods: &[Mood]) {
        *self.inner.moods.lock().unwrap() = moods.to_vec();
    }

    pub(super) fn set_licence(&self, json: &'static str) {
        *self.inner.licence.lock().unwrap() = json;
    }

    pub(super) fn set_wrong_hash(&self, hash: Option<&'static str>) {
        *self.inner.wrong_hash.lock().unwrap() = hash;
    }
}

fn promise(file: &[u8]) -> Promise {
    let mut hasher = Sha256::new();
    hasher.update(file);
    Promise {
        bytes: file.len() as u64,
        sha256: hex(hasher),
    }
}

impl Inner {
    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let path = head.split_whitespace().nth(1).unwrap_or("");
        // The client may have gone already.
        let _gone = if path.starts_with("/api/models/") {
            self.metadata(&mut stream, path.contains("gated"))
        } else {
            self.serve(&mut stream, &head)
        };
    }

    fn metadata(&self, stream: &mut TcpStream, gated: bool) -> std::io::Result<()> {
        if gated {
            return empty(stream, 403);
        }
        let Promise { bytes, sha256 } = promise(&self.files[*self.version.lock().unwrap()]);
        let sha256 = self
            .wrong_hash
            .lock()
            .unwrap()
            .map_or(sha256, |wrong| wrong.repeat(64));
        let licence = *self.licence.lock().unwrap();
        let body = format!(
            r#"{{"sha":"c0ffee","cardData":{{"license":{licence}}},"siblings":[
            {{"rfilename":"README.md"}},
            {{"rfilename":"model-IQ4_K_M.gguf","lfs":{{"sha256":"00","size":1}}}},
            {{"rfilename":"model-Q4_K_M.gguf","lfs":{{"sha256":"{sha256}","size":{bytes}}}}}]}}"#
        );
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn serve(&self, stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let range = header("range");
        self.ranges.lock().unwrap().push(range.clone());
        let mood = {
            let mut moods = self.moods.lock().unwrap();
            if moods.is_empty() {
                Mood::Serve
            } else {
                moods.remove(0)
            }
        };
        match mood {
            Mood::Status(status) => return empty(stream, status),
            Mood::Mute => return until_gone(stream),
            Mood::Changed => *self.version.lock().unwrap() = 1,
            _ => {}
        }
        let version = *self.version.lock().unwrap();
        let file = &self.files[version];
        let etag = format!("\"e{version}\"");
        let start = range
            // RFC 9110, 13.1.5: the range counts only while the version is the one named.
            .filter(|_| header("if-range").is_none_or(|named| named == etag))
            .map_or(0, |range| {
                range
                    .trim_start_matches("bytes=")
                    .trim_end_matches('-')
                    .parse::<usize>()
                    .unwrap()
            });
        let start = if start > 0 && mood == Mood::WrongRange {
            start / 2
        } else {
            start
        };
        let status = if start > 0 {
            let (last, all) = (file.len() - 1, file.len());
            format!("206 Partial Content\r\ncontent-range: bytes {start}-{last}/{all}")
        } else {
            "200 OK".to_owned()
        };
        let rest = &file[start..];
        write!(
            stream,
            "HTTP/1.1 {status}\r\netag: {etag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            rest.len()
        )?;
        match mood {
            Mood::Cut(n) => stream.write_all(&rest[..n.min(rest.len())]),
            Mood::Stall(n) => {
                stream.write_all(&rest[..n.min(rest.len())])?;
                until_gone(stream)
            }
            _ => stream.write_all(rest),
        }
    }
}

fn empty(stream: &mut TcpStream, status: u16) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// Says nothing until the client hangs up.
fn until_gone(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0]).map(|_| ())
}
