//! Files: dialogs are opened here, and only tickets (reading) or nothing at all (writing) reach the page.

use std::path::PathBuf;

use idiolect_core::{ErrorCode, UserError};
use idiolect_studio::api::FileTicket;
use tauri::{AppHandle, Runtime, State};
use tauri_plugin_dialog::DialogExt;
use tokio::sync::oneshot;

use crate::AppState;

/// Lets the person pick files to import; empty when they changed their mind.
///
/// # Errors
/// Why the studio is not open.
#[tauri::command]
pub async fn pick_files<R: Runtime>(
    app: AppHandle<R>,
    state: State<'_, AppState>,
) -> Result<Vec<FileTicket>, UserError> {
    let (picked, answer) = oneshot::channel();
    app.dialog()
        .file()
        .set_title("Choose files")
        .pick_files(move |files| {
            // The receiver is gone only when the window is.
            let _gone = picked.send(files);
        });
    let files = answer.await.unwrap_or_default().unwrap_or_default();
    state.tickets(files.into_iter().filter_map(|file| file.into_path().ok()))
}

/// Lets the person choose where the studio is to write something; none when they changed their mind.
///
/// # Errors
/// Why the studio is not open.
#[tauri::command]
pub async fn pick_place<R: Runtime>(
    app: AppHandle<R>,
    state: State<'_, AppState>,
    name: String,
) -> Result<Option<FileTicket>, UserError> {
    let place = ask_where(&app, &name).await;
    Ok(state.tickets(place)?.pop())
}

/// Lets the person choose where to save `bytes`; false when they changed their mind.
///
/// # Errors
/// `disk_full` or `io` when the file cannot be written.
#[tauri::command]
pub async fn save_file<R: Runtime>(
    app: AppHandle<R>,
    name: String,
    bytes: Vec<u8>,
) -> Result<bool, UserError> {
    let Some(path) = ask_where(&app, &name).await else {
        return Ok(false);
    };
    match std::fs::write(&path, &bytes) {
        Ok(()) => Ok(true),
        Err(error) => Err(not_saved(&error)),
    }
}

async fn ask_where<R: Runtime>(app: &AppHandle<R>, name: &str) -> Option<PathBuf> {
    let (picked, answer) = oneshot::channel();
    app.dialog()
        .file()
        .set_title("Save")
        .set_file_name(plain_name(name))
        .save_file(move |file| {
            // The receiver is gone only when the window is.
            let _gone = picked.send(file);
        });
    answer.await.ok().flatten()?.into_path().ok()
}

/// A proposed name without folders: the person chooses where, the page never does.
fn plain_name(name: &str) -> &str {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() || last.starts_with('.') {
        "idiolect"
    } else {
        last
    }
}

fn not_saved(error: &std::io::Error) -> UserError {
    let (code, hint) = match error.kind() {
        std::io::ErrorKind::StorageFull => (
            ErrorCode::DiskFull,
            "Free some space, or save somewhere else.",
        ),
        _ => (ErrorCode::Io, "Save it in a folder that you can write to."),
    };
    UserError::new(code, format!("The file could not be saved: {error}."), hint)
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn the_page_proposes_a_name_but_no_folder() {
        assert_eq!(plain_name("voice.json"), "voice.json");
        assert_eq!(plain_name("../../.ssh/authorized_keys"), "authorized_keys");
        assert_eq!(plain_name("C:\\Windows\\voice.json"), "voice.json");
        for hidden in ["", "..", "/", ".bashrc", "a/.profile"] {
            assert_eq!(
                plain_name(hidden),
                "idiolect",
                "{hidden:?} is no name to propose"
            );
        }
    }
}
