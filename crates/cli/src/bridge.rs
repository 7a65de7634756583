//! The window's interface over loopback HTTP, so that a plain browser can be driven by tests. One route for
//! requests (a stream of events as lines of JSON), one for picked files, the built window as static files.
//! Every call needs the token that is printed at the start. Behind a cargo feature that releases lack.

use std::{
    convert::Infallible,
    io::Write,
    path::{Component, Path, PathBuf},
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use idiolect_core::{ErrorCode, UserError};
use idiolect_studio::{Studio, api::Request};
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::mpsc};

/// The window's own policy, from the file that the app is built with, for the same page in a browser: that page
/// asks the server it came from, where the window's asks the app.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let config: serde_json::Value =
        serde_json::from_str(include_str!("../../../tauri.conf.json")).unwrap_or_default();
    let directives = config["app"]["security"]["csp"].as_object();
    let policy: Vec<String> = directives
        .into_iter()
        .flatten()
        .map(|(name, sources)| match name.as_str() {
            "connect-src" => "connect-src 'self'".to_owned(),
            _ => format!("{name} {}", sources.as_str().unwrap_or("'none'")),
        })
        .collect();
    HeaderValue::from_str(&policy.join("; "))
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// No request is longer, a pasted text included; files come through `/ticket`, which streams.
const MAX_REQUEST_BYTES: usize = 64 << 20;

struct Bridge {
    studio: Studio,
    ui: PathBuf,
    authorization: String,
    uploads: tempfile::TempDir,
}

type Shared = State<Arc<Bridge>>;

/// Serves until the process ends.
///
/// # Errors
/// A port that cannot be had.
pub fn serve(studio: &Studio, ui: &Path, port: u16) -> Result<(), UserError> {
    let token = format!("{:032x}", rand::random::<u128>());
    let bridge = Arc::new(Bridge {
        studio: studio.clone(),
        ui: ui.to_owned(),
        authorization: format!("Bearer {token}"),
        uploads: tempfile::tempdir()
            .map_err(|e| cannot("No temporary folder could be made", &e, "Check the disk."))?,
    });
    let asked = Router::new()
        .route("/submit", post(submit))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .route("/ticket", post(ticket))
        .layer(middleware::from_fn_with_state(Arc::clone(&bridge), allowed));
    let router = asked.fallback(page).with_state(bridge);

    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| cannot("The bridge could not be started", &e, "Try again."))?
        .block_on(listen(router, port, &token))
        .map_err(|e| {
            cannot(
                "The port cannot be had",
                &e,
                "Leave --port away to get a free one.",
            )
        })
}

async fn listen(router: Router, port: u16, token: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/#token={token}", listener.local_addr()?);
    std::io::stdout().flush()?;
    axum::serve(listener, router).await
}

fn cannot(what: &str, why: &std::io::Error, hint: &str) -> UserError {
    UserError::new(ErrorCode::Io, format!("{what}: {why}."), hint)
}

/// Turns away whoever does not know the token.
async fn allowed(
    State(bridge): Shared,
    headers: HeaderMap,
    request: HttpRequest,
    next: Next,
) -> Response {
    match headers.get(header::AUTHORIZATION) {
        Some(given) if given == bridge.authorization.as_str() => next.run(request).await,
        _ => (StatusCode::UNAUTHORIZED, "no token").into_response(),
    }
}

/// Runs a request; its events leave as they come, a line each.
async fn submit(State(bridge): Shared, body: Bytes) -> Response {
    match serde_json::from_slice::<Request>(&body) {
        Ok(asked) => {
            let (send, events) = mpsc::unbounded_channel();
            bridge.studio.submit(asked, move |event| {
                // A page that was closed no longer listens; the work goes on.
                let _ = send.send(event);
            });
            let lines = stream::unfold(events, async |mut events| {
                let event = events.recv().await?;
                let mut line = serde_json::to_vec(&event).unwrap_or_default();
                line.push(b'\n');
                Some((Ok::<_, Infallible>(line), events))
            });
            (
                [(header::CONTENT_TYPE, "application/x-ndjson")],
                Body::from_stream(lines),
            )
                .into_response()
        }
        Err(e) => (StatusCode::BAD_REQUEST, e.to_string()).into_response(),
    }
}

/// Takes a picked file in and answers with its ticket.
async fn ticket(State(bridge): Shared, headers: HeaderMap, body: Body) -> Response {
    let name = headers
        .get("x-file-name")
        .and_then(|name| name.to_str().ok())
        .and_then(|name| Path::new(name).file_name())
        .map_or_else(|| "upload".into(), |name| name.to_owned());
    // A folder each, so that two files of one name stay two.
    let folder = bridge
        .uploads
        .path()
        .join(format!("{:016x}", rand::random::<u64>()));
    let path = folder.join(name);
    match keep(&folder, &path, body).await {
        Ok(()) => bridge.studio.ticket(path).0.into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

async fn keep(folder: &Path, path: &Path, body: Body) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let mut file = tokio::fs::File::create(path).await?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece.map_err(std::io::Error::other)?)
            .await?;
    }
    file.flush().await
}

/// The built window.
async fn page(State(bridge): Shared, uri: Uri) -> Response {
    let wanted = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let inside = Path::new(wanted)
        .components()
        .all(|c| matches!(c, Component::Normal(_)));
    let bytes = if inside {
        tokio::fs::read(bridge.ui.join(wanted)).await.ok()
    } else {
        None
    };
    let Some(bytes) = bytes else {
        return (StatusCode::NOT_FOUND, "not here").into_response();
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
    (
        [
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        ],
        bytes,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::POLICY;

    #[test]
    fn the_browsers_page_is_as_closed_as_the_windows() {
        let policy = POLICY.to_str().expect("plain words");
        for directive in [
            "default-src 'self'",
            "script-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(
                policy.split("; ").any(|part| part == directive),
                "{directive} in {policy}"
            );
        }
        assert!(
            !policy.contains("ipc"),
            "no page in a browser has the app's own channel"
        );
    }
}
