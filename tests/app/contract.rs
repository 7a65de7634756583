//! What the page may call, through Tauri's own router on a mock runtime.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use idiolect_studio_app::{AppState, builder, context, open_window};
use serde_json::{Value, json};
use tauri::{
    App, WebviewWindow,
    ipc::{CallbackFn, InvokeBody},
    test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder},
    webview::InvokeRequest,
};

struct Studio {
    _app: App<MockRuntime>,
    window: WebviewWindow<MockRuntime>,
    _home: tempfile::TempDir,
}

fn open() -> Studio {
    let home = tempfile::tempdir().expect("a temporary folder");
    let state = AppState::with(idiolect_studio::Options {
        home: Some(home.path().join("home")),
        models: Some(home.path().join("models")),
        offline: true,
    });
    let app = builder(mock_builder(), state)
        .build(context())
        .expect("the app starts");
    // The mock never runs its event loop, which is what calls `setup`.
    open_window(app.handle()).expect("the window opens");
    let window = tauri::Manager::get_webview_window(&app, "main").expect("it is there");
    Studio {
        _app: app,
        window,
        _home: home,
    }
}

fn invoke(window: &WebviewWindow<MockRuntime>, command: &str, body: Value) -> Result<Value, Value> {
    let request = InvokeRequest {
        cmd: command.into(),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: if cfg!(windows) {
            "http://tauri.localhost"
        } else {
            "tauri://localhost"
        }
        .parse()
        .expect("a URL"),
        body: InvokeBody::Json(body),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.into(),
    };
    get_ipc_response(window, request).map(|answer| answer.deserialize().expect("JSON"))
}

/// Sends a request straight to the state, as `submit` does, and returns its last event.
fn last_event(studio: &Studio, request: Value) -> Value {
    last_event_of(&tauri::Manager::state::<AppState>(&studio.window), request)
}

fn last_event_of(state: &AppState, request: Value) -> Value {
    let (events, inbox) = mpsc::channel();
    let events = Mutex::new(events);
    let request = serde_json::from_value(request).expect("a request");
    state.submit(request, move |event| {
        let event = serde_json::to_value(event).expect("an event is JSON");
        // The test may have seen enough.
        let _gone = events.lock().expect("nobody panicked").send(event);
    });
    loop {
        let event = inbox
            .recv_timeout(Duration::from_secs(60))
            .expect("every request ends");
        if event["type"] == "done" || event["type"] == "failed" {
            return event;
        }
    }
}

#[test]
fn submit_takes_a_request_and_a_channel_and_returns_at_once() {
    let studio = open();
    let answer = invoke(
        &studio.window,
        "submit",
        json!({ "request": { "type": "status" }, "channel": "__CHANNEL__:7" }),
    );
    assert_eq!(
        answer,
        Ok(Value::Null),
        "the answer comes through the channel"
    );
}

#[test]
fn a_request_that_is_none_is_refused_by_its_shape() {
    let studio = open();
    for request in [json!({ "type": "run_program" }), json!({}), json!("status")] {
        let body = json!({ "request": request, "channel": "__CHANNEL__:7" });
        let answer = invoke(&studio.window, "submit", body);
        assert!(answer.is_err(), "{request} is not a request: {answer:?}");
    }
}

#[test]
fn the_page_can_name_no_file() {
    let studio = open();
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "words that nobody picked").expect("written");
    let path = secret.path().to_str().expect("a plain path");
    for ticket in [
        path,
        &format!("file://{path}"),
        "file-1-0000000000000000",
        "",
    ] {
        let event = last_event(&studio, json!({ "type": "import_scan", "file": ticket }));
        assert_eq!(
            event["type"], "failed",
            "a made-up ticket opens nothing: {ticket:?}"
        );
        assert_eq!(event["error"]["code"], "not_found", "{event}");
        assert!(
            !event.to_string().contains("nobody picked"),
            "nothing of the file came out"
        );
    }
}

#[test]
fn a_picked_file_is_known_by_a_ticket_that_holds_no_path() {
    let studio = open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("letter.txt");
    std::fs::write(
        &file,
        "I wrote this letter myself, and I would write it again tomorrow.",
    )
    .expect("written");
    let state = tauri::Manager::state::<AppState>(&studio.window);
    let tickets = state.tickets([file]).expect("the studio is open");
    let folder_name = folder
        .path()
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a plain name");
    assert!(
        !tickets[0].0.contains(folder_name),
        "a ticket tells nothing about the path"
    );
    let event = last_event(
        &studio,
        json!({ "type": "import_scan", "file": tickets[0] }),
    );
    assert_eq!(
        event["type"], "done",
        "a real ticket opens its file: {event}"
    );
    assert_eq!(event["response"]["scan"]["file_name"], "letter.txt");
}

#[test]
fn a_picked_file_that_is_no_text_is_refused_with_what_to_do_and_changes_nothing() {
    let studio = open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = tauri::Manager::state::<AppState>(&studio.window);
    let profile = last_event(&studio, json!({ "type": "profile_new", "name": "Ada" }));
    let profile = &profile["response"]["profile"]["id"];
    for (name, bytes) in [
        ("noise.bin", [0_u8, 159, 146, 150, 0, 1, 2, 255].repeat(64)),
        ("empty.txt", Vec::new()),
        ("broken.docx", b"PK\x03\x04 and then nothing".to_vec()),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, &bytes).expect("written");
        let tickets = state.tickets([file.clone()]).expect("the studio is open");
        let import =
            json!({ "type": "import_run", "profile": profile, "file": tickets[0], "mine": [] });
        let event = last_event(&studio, import);
        assert_eq!(event["type"], "failed", "{name}: {event}");
        for said in ["message", "hint"] {
            assert_ne!(event["error"][said], "", "{name} says its {said}");
        }
        assert_eq!(
            std::fs::read(&file).expect("still there"),
            bytes,
            "{name} is as it was"
        );
    }
    let event = last_event(
        &studio,
        json!({ "type": "sample_list", "profile": profile }),
    );
    assert_eq!(event["response"]["samples"], json!([]), "nothing came in");
}

#[test]
fn plugins_and_tauris_own_commands_are_closed_to_the_page() {
    let studio = open();
    for command in [
        "plugin:dialog|open",
        "plugin:dialog|save",
        "plugin:dialog|message",
        "plugin:fs|read_file",
        "plugin:shell|execute",
        "plugin:http|fetch",
        "plugin:window|create",
        "plugin:webview|create_webview_window",
        "plugin:path|resolve_directory",
        "plugin:event|emit",
    ] {
        let answer = invoke(&studio.window, command, json!({}));
        assert!(
            answer.is_err(),
            "{command} must not be there for the page: {answer:?}"
        );
    }
}

#[test]
fn a_home_that_cannot_be_opened_is_told_to_the_page_and_can_be_tried_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = folder.path().join("home");
    std::fs::write(&home, "a file where the home should be").expect("written");
    let state = AppState::with(idiolect_studio::Options {
        home: Some(home.clone()),
        models: Some(folder.path().join("models")),
        offline: true,
    });
    for request in ["status", "profile_list"] {
        let event = last_event_of(&state, json!({ "type": request }));
        assert_eq!(event["type"], "failed", "{event}");
        assert_ne!(event["error"]["hint"], "", "it says what to do");
    }
    std::fs::remove_file(&home).expect("the person moved it away");
    for request in ["status", "profile_list"] {
        let event = last_event_of(&state, json!({ "type": request }));
        assert_eq!(
            event["type"], "done",
            "{request} after trying again: {event}"
        );
    }
}
