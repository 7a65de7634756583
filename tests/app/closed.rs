//! The window is as closed as docs/ARCHITECTURE.md says: read from the very files that are built in.

use std::{fs, path::Path};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn json(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_configuration_gives_the_page_nothing_global_and_no_files() {
    let config = json("tauri.conf.json");
    let app = &config["app"];
    assert_eq!(
        app["withGlobalTauri"], false,
        "window.__TAURI__ must not exist"
    );
    assert_eq!(
        app["security"]["assetProtocol"]["enable"], false,
        "no file may be read through asset://"
    );
    assert_eq!(
        app["security"]["freezePrototype"], true,
        "Object.prototype is frozen"
    );
    assert!(
        config.get("plugins").is_none(),
        "no plugin is configured for the page"
    );
    assert!(
        config["build"].get("devUrl").is_none(),
        "pages come from the binary, never from a server"
    );
    assert_eq!(
        app["windows"].as_array().map(Vec::len),
        Some(1),
        "one window"
    );
    assert_eq!(
        app["windows"][0]["create"], false,
        "it is created where navigation is guarded"
    );
    assert_eq!(
        config["identifier"], "org.idiolect.studio",
        "frozen: people's data hangs on it"
    );
}

#[test]
fn the_content_security_policy_is_strict() {
    let config = json("tauri.conf.json");
    let csp = config["app"]["security"]["csp"]
        .as_object()
        .expect("a policy by directive");
    let expected = [
        ("default-src", "'self'"),
        ("script-src", "'self'"),
        ("style-src", "'self'"),
        ("img-src", "'self' data:"),
        ("font-src", "'self'"),
        ("connect-src", "ipc: http://ipc.localhost"),
        ("object-src", "'none'"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
        ("frame-src", "'none'"),
        ("frame-ancestors", "'none'"),
    ];
    for (directive, sources) in expected {
        assert_eq!(
            csp.get(directive).and_then(Value::as_str),
            Some(sources),
            "{directive}"
        );
    }
    assert_eq!(
        csp.len(),
        expected.len(),
        "no directive beyond these: {csp:?}"
    );
    let security = config["app"]["security"].as_object().expect("an object");
    for loosener in ["devCsp", "dangerousDisableAssetCspModification", "headers"] {
        assert!(
            !security.contains_key(loosener),
            "{loosener} would loosen it"
        );
    }
}

#[test]
fn one_capability_lets_the_page_hear_events_and_nothing_else() {
    let folder = root().join("src-tauri/capabilities");
    let files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .collect();
    assert_eq!(
        files,
        ["main.json"],
        "one capability file for the one window"
    );
    let capability = json("src-tauri/capabilities/main.json");
    assert_eq!(capability["windows"], serde_json::json!(["main"]));
    assert_eq!(
        capability["permissions"],
        serde_json::json!(["core:event:allow-listen", "core:event:allow-unlisten"]),
        "listening to events is all; no dialog, fs, shell, http or window permission"
    );
    assert!(
        capability.get("remote").is_none(),
        "no remote page has any permission"
    );
}
