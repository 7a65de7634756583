//! The desktop app's entry: the one environment variable that has to be set before anything runs.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]
#![deny(unsafe_code)]

fn main() {
    // WebKitGTK's DMABUF renderer shows a blank window on some drivers and on displays without a GPU.
    if cfg!(target_os = "linux") && std::env::var_os("WEBKIT_DISABLE_DMABUF_RENDERER").is_none() {
        // SAFETY: no other thread exists yet, so nothing reads the environment at the same time.
        #[allow(
            unsafe_code,
            reason = "GTK reads it when it starts; only the environment reaches it"
        )]
        unsafe {
            std::env::set_var("WEBKIT_DISABLE_DMABUF_RENDERER", "1")
        }
    }
    if let Err(error) = idiolect_studio_app::run() {
        eprintln!("error: the window could not be opened: {error}");
        eprintln!("hint: a display is needed; without one, use the command line: idiolect --help");
        std::process::exit(1);
    }
}
