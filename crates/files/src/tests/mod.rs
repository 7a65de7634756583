//! Whole files in, passages out. All texts are our own.

mod chats;
mod documents;
mod hostile;
mod mails;

use std::io::Write;
use std::ops::ControlFlow;

use crate::{Choice, Counts, ImportError, Limits, Passage, Scan, read, scan};

/// A file that is gone when the test is.
struct File {
    _folder: Option<tempfile::TempDir>,
    path: std::path::PathBuf,
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> File {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("the fixture is written");
    File {
        _folder: Some(folder),
        path,
    }
}

fn scanned(file: &File) -> Result<Scan, ImportError> {
    scan(&file.path, &Limits::default(), &mut |_, _| {
        ControlFlow::Continue(())
    })
}

fn read_with(
    file: &File,
    mine: &[&str],
    limits: &Limits,
) -> Result<(Vec<Passage>, Counts), ImportError> {
    let choice = Choice {
        mine: mine.iter().map(|key| (*key).to_owned()).collect(),
    };
    let mut passages = Vec::new();
    let counts = read(
        &file.path,
        &choice,
        limits,
        &mut |_, _| ControlFlow::Continue(()),
        &mut |passage| {
            passages.push(passage);
            ControlFlow::Continue(())
        },
    )?;
    Ok((passages, counts))
}

fn read_all(file: &File, mine: &[&str]) -> Result<(Vec<Passage>, Counts), ImportError> {
    read_with(file, mine, &Limits::default())
}

/// The one passage of a document.
fn only(name: &str, bytes: impl AsRef<[u8]>) -> Passage {
    let (mut passages, counts) = read_all(&file(name, bytes), &[]).expect("a readable document");
    assert_eq!(
        (passages.len(), counts.kept),
        (1, 1),
        "a document is one passage"
    );
    passages.remove(0)
}

/// A zip archive with these parts.
fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())
            .expect("a part begins");
        zip.write_all(bytes).expect("a part is written");
    }
    zip.finish().expect("the archive is closed").into_inner()
}

/// A Word document with this body.
fn docx(body: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><w:document xmlns:w=\"urn:w\" xmlns:mc=\"urn:mc\">\
         <w:body>{body}</w:body></w:document>"
    );
    archive(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", xml.as_bytes()),
    ])
}
