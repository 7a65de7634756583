//! Generates what `generate_context!` embeds: the configuration at the top and the one capability.

fn main() {
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/**/*.json");
    if let Err(error) = tauri_build::try_build(attributes) {
        println!(
            "cargo:warning=The window needs the built UI: `npm ci && npm run build` in ui/, or `cargo xtask run`."
        );
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}
