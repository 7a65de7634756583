//! The desktop shell: a window, three commands and a stream. No use case lives here; all of them are
//! in `idiolect_studio`, behind one request type.
#![forbid(unsafe_code)]

pub mod commands;
mod state;
pub mod stream;
mod window;

use tauri::{Builder, Manager, Runtime};

pub use state::AppState;
pub use window::open as open_window;

/// The app as a builder, on whichever runtime: the real one, or the tests' mock.
pub fn builder<R: Runtime>(builder: Builder<R>, state: AppState) -> Builder<R> {
    builder
        .plugin(tauri_plugin_dialog::init())
        .manage(state)
        .invoke_handler(tauri::generate_handler![
            commands::submit::submit,
            commands::files::pick_files,
            commands::files::pick_place,
            commands::files::save_file,
        ])
        .setup(|app| Ok(open_window(app.handle())?))
}

/// What tauri.conf.json says, with the built UI embedded.
pub fn context<R: Runtime>() -> tauri::Context<R> {
    tauri::generate_context!()
}

/// Runs the app until its window is closed.
///
/// # Errors
/// When the window system cannot be reached.
pub fn run() -> tauri::Result<()> {
    let app = builder(Builder::<tauri::Wry>::default(), AppState::open()).build(context())?;
    app.run(|app, event| {
        if let tauri::RunEvent::Exit = event {
            app.state::<AppState>().stop_all();
        }
    });
    Ok(())
}
