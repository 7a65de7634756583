//! The one door: a request in, its events out through a channel.

use idiolect_studio::api::{Event, Request};
use tauri::{State, ipc::Channel};

use crate::{AppState, stream};

/// Runs a request. Returns at once; the channel carries every event, `done` or `failed` last.
#[tauri::command]
pub fn submit(state: State<'_, AppState>, request: Request, channel: Channel<Event>) {
    state.submit(
        request,
        stream::coalesced(move |event| {
            // An error means that the page is gone (reloaded or closed): the request still runs to its end.
            let _gone = channel.send(event);
        }),
    );
}
