//! The one window: opened from tauri.conf.json, kept to its own pages, told which files are dropped.

use tauri::{
    AppHandle, DragDropEvent, Emitter, Manager, Runtime, Url, WebviewWindowBuilder, WindowEvent,
    webview::NewWindowResponse,
};

use crate::AppState;

/// The event that tells the page about dropped files; its payload is tickets, never paths.
pub const FILES_DROPPED: &str = "files-dropped";

/// Opens the window that tauri.conf.json describes.
///
/// # Errors
/// When the window system refuses, or the configuration names no window `main`.
pub fn open<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    let config = app
        .config()
        .app
        .windows
        .iter()
        .find(|window| window.label == "main")
        .ok_or(tauri::Error::WebviewNotFound)?
        .clone();
    let window = WebviewWindowBuilder::from_config(app, &config)?
        .on_navigation(own_page)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    let handle = app.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::DragDrop(DragDropEvent::Drop { paths, .. }) = event
            && let Ok(tickets) = handle.state::<AppState>().tickets(paths.iter().cloned())
        {
            // The page may be gone already: then nobody is there to be told.
            let _gone = handle.emit_to("main", FILES_DROPPED, tickets);
        }
    });
    Ok(())
}

/// Whether an address is a page of the app itself: `tauri://localhost`, or what Windows calls it.
pub fn own_page(url: &Url) -> bool {
    match (url.scheme(), url.host_str()) {
        ("tauri", Some("localhost")) => true,
        ("http" | "https", Some("tauri.localhost")) => cfg!(windows),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn only_the_apps_own_pages_may_be_opened() {
        let open = |url: &str| own_page(&url.parse().expect("a URL"));
        assert!(open("tauri://localhost/index.html"), "the app's own page");
        for foreign in [
            "https://example.org/",
            "http://localhost:1420/",
            "http://127.0.0.1/",
            "file:///etc/passwd",
            "data:text/html,hello",
            "about:blank",
            "tauri://elsewhere/",
        ] {
            assert!(!open(foreign), "{foreign} must not be opened in the window");
        }
        assert_eq!(
            open("http://tauri.localhost/"),
            cfg!(windows),
            "only Windows serves the app there"
        );
    }
}
