//! The window's interface over loopback HTTP, so that a plain browser can be driven by tests. One route for
//! requests (a stream of events as lines of JSON), one for picked files, the built window as static files.
//! Every call needs the token that is printed at the start. Behind a cargo feature that releases lack.

use std::{
    io::{Read, Write},
    path::{Component, Path, PathBuf},
    sync::mpsc,
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_studio::{
    Studio,
    api::{Event, Request},
};
use tiny_http::{Header, Method, Response, Server, StatusCode};

/// The window's own policy, as tauri.conf.json sets it, for the same page in a browser.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Serves until the process ends.
///
/// # Errors
/// A port that cannot be had.
pub fn serve(studio: &Studio, ui: &Path, port: u16) -> Result<(), UserError> {
    let server = Server::http(("127.0.0.1", port)).map_err(|e| {
        UserError::new(
            ErrorCode::Io,
            format!("The port cannot be had: {e}."),
            "Leave --port away to get a free one.",
        )
    })?;
    let token = format!("{:032x}", rand::random::<u128>());
    let address = server
        .server_addr()
        .to_ip()
        .map(|a| a.to_string())
        .unwrap_or_default();
    println!("http://{address}/#token={token}");
    let _ = std::io::stdout().flush();
    let uploads = tempfile::tempdir().map_err(|e| {
        UserError::new(
            ErrorCode::Io,
            format!("No temporary folder could be made: {e}."),
            "Check the disk.",
        )
    })?;
    for request in server.incoming_requests() {
        let studio = studio.clone();
        let (ui, token, uploads) = (ui.to_owned(), token.clone(), uploads.path().to_owned());
        std::thread::spawn(move || {
            // A browser that went away is no error of ours.
            let _ = answer(&studio, request, &ui, &token, &uploads);
        });
    }
    Ok(())
}

fn answer(
    studio: &Studio,
    mut request: tiny_http::Request,
    ui: &Path,
    token: &str,
    uploads: &Path,
) -> std::io::Result<()> {
    let path = request
        .url()
        .split(['?', '#'])
        .next()
        .unwrap_or("/")
        .to_owned();
    if *request.method() == Method::Get {
        return request.respond(file(ui, &path));
    }
    let bearer = format!("Bearer {token}");
    let allowed = request
        .headers()
        .iter()
        .any(|h| h.field.equiv("authorization") && h.value.as_str() == bearer);
    if !allowed {
        return request.respond(Response::from_string("no token").with_status_code(401));
    }
    match path.as_str() {
        "/submit" => {
            let mut body = String::new();
            request
                .as_reader()
                .take(64 << 20)
                .read_to_string(&mut body)?;
            match serde_json::from_str::<Request>(&body) {
                Ok(asked) => {
                    let headers = vec![header("content-type", "application/x-ndjson")];
                    let stream = Stream::of(studio, asked);
                    request.respond(Response::new(StatusCode(200), headers, stream, None, None))
                }
                Err(e) => {
                    request.respond(Response::from_string(e.to_string()).with_status_code(400))
                }
            }
        }
        "/ticket" => {
            let name = request
                .headers()
                .iter()
                .find(|h| h.field.equiv("x-file-name"))
                .map_or("upload", |h| h.value.as_str())
                .to_owned();
            let name = Path::new(&name)
                .file_name()
                .map_or("upload".into(), |n| n.to_string_lossy().into_owned());
            let folder = uploads.join(format!("{:016x}", rand::random::<u64>()));
            std::fs::create_dir_all(&folder)?;
            let path = folder.join(name);
            std::io::copy(request.as_reader(), &mut std::fs::File::create(&path)?)?;
            request.respond(Response::from_string(studio.ticket(path).0))
        }
        _ => request.respond(Response::from_string("not here").with_status_code(404)),
    }
}

/// Events as they come, a line each.
struct Stream {
    events: mpsc::Receiver<Event>,
    line: Vec<u8>,
    sent: usize,
}

impl Stream {
    fn of(studio: &Studio, request: Request) -> Self {
        let (send, events) = mpsc::channel();
        studio.submit(request, move |event| {
            // A page that was closed no longer listens; the work goes on.
            let _ = send.send(event);
        });
        Self {
            events,
            line: Vec::new(),
            sent: 0,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.sent == self.line.len() {
            let Ok(event) = self.events.recv() else {
                return Ok(0);
            };
            self.line = serde_json::to_vec(&event)?;
            self.line.push(b'\n');
            self.sent = 0;
        }
        let n = buffer.len().min(self.line.len() - self.sent);
        buffer[..n].copy_from_slice(&self.line[self.sent..][..n]);
        self.sent += n;
        Ok(n)
    }
}

fn file(ui: &Path, path: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    let wanted = if path == "/" {
        "index.html"
    } else {
        path.trim_start_matches('/')
    };
    let inside = Path::new(wanted)
        .components()
        .all(|c| matches!(c, Component::Normal(_)));
    let bytes = if inside {
        std::fs::read(PathBuf::from(ui).join(wanted)).ok()
    } else {
        None
    };
    let Some(bytes) = bytes else {
        return Response::from_string("not here").with_status_code(404);
    };
    let kind = match Path::new(wanted).extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    Response::from_data(bytes)
        .with_header(header("content-type", kind))
        .with_header(header("content-security-policy", POLICY))
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("header names and values here are plain ASCII")
}
