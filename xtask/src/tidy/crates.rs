//! Who may depend on whom.

use serde_json::Value;

/// Our packages and which of ours each may use. The prefix `idiolect-` is left out.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("kernels", &[]),
    ("text", &["core"]),
    ("llm", &["core"]),
    ("store", &["core"]),
    ("files", &["core", "text"]),
    ("persona", &["core", "text", "llm"]),
    ("engine", &["core", "llm", "kernels"]),
    ("train", &["core", "llm", "kernels", "engine"]),
    (
        "use-cases",
        &[
            "core", "text", "files", "llm", "kernels", "engine", "train", "persona", "store",
        ],
    ),
    ("cli", &["core", "use-cases"]),
    ("studio", &["core", "use-cases"]),
    ("xtask", &[]),
];

/// Packages of others that only some of ours may use: by beginning of name.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["tauri", "wry", "tao"], &["studio"]),
    (&["candle"], &["engine", "train"]),
    (&["rusqlite", "libsqlite3"], &["store"]),
    (
        &[
            "ureq",
            "reqwest",
            "hyper",
            "attohttpc",
            "minreq",
            "isahc",
            "curl",
            "hf-hub",
        ],
        &["use-cases"],
    ),
];

/// Everything in cargo's metadata that the tables do not allow.
pub fn breaches(metadata: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = ours(text(&package["name"]));
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!(
                "crate {name}: not in the table of who may use whom (xtask/src/tidy/crates.rs)"
            ));
            continue;
        };
        let by_default = package["features"]["default"]
            .as_array()
            .into_iter()
            .flatten();
        if by_default.into_iter().any(|feature| feature == "ui-bridge") {
            breaches.push(format!(
                "crate {name}: the browser bridge is for tests; releases lack it"
            ));
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = text(&dependency["name"]);
            let local = dependency.get("path").is_some_and(|path| !path.is_null());
            // Tests may lean on anything (drive a browser, load a model); what ships may not.
            let ships = dependency["kind"] != "dev";
            if local && ships && !allowed.contains(&ours(used)) {
                breaches.push(format!("crate {name}: must not use {used}"));
            }
            for (prefixes, owners) in RESERVED {
                let reserved = prefixes.iter().any(|prefix| {
                    used == *prefix
                        || used
                            .strip_prefix(prefix)
                            .is_some_and(|rest| rest.starts_with('-'))
                });
                if !local && ships && reserved && !owners.contains(&name) {
                    breaches.push(format!(
                        "crate {name}: must not use {used}, which only {owners:?} may"
                    ));
                }
            }
        }
    }
    breaches
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn ours(name: &str) -> &str {
    name.strip_prefix("idiolect-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::breaches;

    fn package(name: &str, dependencies: Value) -> Value {
        json!({ "packages": [{ "name": name, "dependencies": dependencies }] })
    }
    #[test]
    fn only_what_the_table_allows_passes() {
        let fine = package(
            "idiolect-files",
            json!([{ "name": "idiolect-text", "path": "crates/text" }, { "name": "zip" }]),
        );
        assert_eq!(breaches(&fine), [""; 0], "files may use text");
        for (name, dependency) in [
            (
                "idiolect-text",
                json!({ "name": "idiolect-files", "path": "crates/files" }),
            ),
            ("idiolect-text", json!({ "name": "candle-core" })),
            ("idiolect-persona", json!({ "name": "rusqlite" })),
            ("idiolect-cli", json!({ "name": "tauri" })),
            ("idiolect-engine", json!({ "name": "ureq" })),
            ("idiolect-new", json!({ "name": "serde" })),
        ] {
            let found = breaches(&package(name, json!([dependency])));
            assert_eq!(
                found.len(),
                1,
                "{name} must not use {dependency}: {found:?}"
            );
        }
    }

    #[test]
    fn the_browser_bridge_is_never_built_by_default() {
        let package = |default: Value| {
            let features = json!({ "default": default, "ui-bridge": [] });
            json!({ "packages": [{ "name": "idiolect-cli", "dependencies": [], "features": features }] })
        };
        assert_eq!(
            breaches(&package(json!([]))),
            [""; 0],
            "asked for, it may be built"
        );
        assert_eq!(
            breaches(&package(json!(["ui-bridge"]))).len(),
            1,
            "but never unasked"
        );
    }
}
