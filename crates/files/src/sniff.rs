//! Which kind a file is: by what its first bytes cannot be mistaken for, then by its extension, then by its text.

use std::path::Path;

use crate::{FileKind, ImportError, chatlog, docx, encoding};

/// How much of a file [`kind`] wants to see.
pub(crate) const HEAD_BYTES: u64 = 64 << 10;

/// Says what a file is from its path's extension and its first bytes.
///
/// # Errors
/// [`ImportError::Binary`] and [`ImportError::UnsupportedKind`].
pub(crate) fn kind(path: &Path, head: &[u8]) -> Result<FileKind, ImportError> {
    if head.starts_with(b"PK\x03\x04")
        || head.starts_with(b"PK\x05\x06")
        || head.starts_with(&docx::OLE_MAGIC)
    {
        return Ok(FileKind::Docx);
    }
    if let Some((_, found)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(ImportError::UnsupportedKind { found });
    }
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    Ok(match extension.to_ascii_lowercase().as_str() {
        "docx" | "docm" | "dotx" => FileKind::Docx,
        "md" | "markdown" | "mdown" => FileKind::Markdown,
        "html" | "htm" | "xhtml" => FileKind::Html,
        "eml" => FileKind::Eml,
        "mbox" | "mbx" => FileKind::Mbox,
        "json" => FileKind::ChatJson,
        "jsonl" | "ndjson" => FileKind::ChatJsonLines,
        "txt" | "text" => match chatlog::looks_like_one(&peek(head)?) {
            true => FileKind::ChatLog,
            false => FileKind::PlainText,
        },
        _ => by_content(head)?,
    })
}

/// Files that begin like this are not text of any kind; the second part names them for a person.
const FOREIGN: [(&[u8], &str); 14] = [
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"GGUF", "a model file"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"\x1f\x8b", "a compressed file (.gz)"),
    (b"7z\xbc\xaf\x27\x1c", "a compressed file (.7z)"),
    (b"Rar!", "a compressed file (.rar)"),
    (b"SQLite format 3", "a database"),
    (b"ID3", "a sound file"),
    (b"!BDN", "an Outlook mailbox (.pst)"),
];

/// The first bytes as text, the last character perhaps cut.
fn peek(head: &[u8]) -> Result<String, ImportError> {
    let whole = match head.len() as u64 >= HEAD_BYTES {
        // A line cut in the middle of a character would make UTF-8 look like something else.
        true => head
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(head, |at| &head[..at]),
        false => head,
    };
    encoding::decode(whole)
}

fn by_content(head: &[u8]) -> Result<FileKind, ImportError> {
    let text = peek(head)?;
    let start = text.trim_start();
    let begins = |word: &str| {
        start
            .get(..word.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(word))
    };
    if text.starts_with("From ") && text.lines().nth(1).is_some_and(is_header) {
        return Ok(FileKind::Mbox);
    }
    if begins("<!doctype html") || begins("<html") {
        return Ok(FileKind::Html);
    }
    if start.starts_with("{\"")
        || start.starts_with("{\n")
        || start.starts_with("[{")
        || start.starts_with("[\n")
    {
        return Ok(FileKind::ChatJson);
    }
    let headers: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    let is_mail = headers.first().is_some_and(|line| is_header(line))
        && headers
            .iter()
            .all(|line| is_header(line) || line.starts_with([' ', '\t']))
        && headers.iter().any(|line| {
            line.get(..5)
                .is_some_and(|s| s.eq_ignore_ascii_case("from:"))
        })
        && headers.len() >= 3;
    if is_mail {
        return Ok(FileKind::Eml);
    }
    Ok(match chatlog::looks_like_one(&text) {
        true => FileKind::ChatLog,
        false => FileKind::PlainText,
    })
}

fn is_header(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_where_the_extension_is_unknown() {
        let kind =
            |head: &str| kind(Path::new("file"), head.as_bytes()).expect("text of some kind");
        assert_eq!(
            kind("From a@b.example Mon Jan  1 10:00:00 2024\nFrom: a@b.example\n\nhi"),
            FileKind::Mbox
        );
        assert_eq!(
            kind("Received: x\n\ty\nFrom: a@b.example\nSubject: s\n\nhi"),
            FileKind::Eml
        );
        assert_eq!(kind(" <!DOCTYPE html><p>x"), FileKind::Html);
        assert_eq!(kind("[{\"role\":\"user\"}]"), FileKind::ChatJson);
        assert_eq!(kind("Dear all: hello\nfriends"), FileKind::PlainText);
    }

    #[test]
    fn what_is_no_text_is_named() {
        let error = kind(Path::new("essay.txt"), b"%PDF-1.7 ...")
            .expect_err("a PDF is not read, whatever its name");
        assert!(
            error.to_string().contains("PDF"),
            "the message names what it is: {error}"
        );
        assert!(
            matches!(
                kind(Path::new("x"), &[0, 1, 2, 0, 0, 9]),
                Err(ImportError::Binary)
            ),
            "zeros are no text"
        );
    }
}
