//! Documents: a whole file that is one text of the person's.

use idiolect_text::clean;

use crate::choose::words_in;
use crate::html::Rendered;
use crate::{FileKind, ImportError, Limits, Passage, docx, encoding, html, markdown};

/// Turns a document's bytes into its one passage.
///
/// # Errors
/// [`ImportError::Empty`] where no words are left, [`ImportError::Binary`], and those of [`docx::render`].
pub(crate) fn read(kind: FileKind, bytes: &[u8], limits: &Limits) -> Result<Passage, ImportError> {
    let (text, title, removed) = match kind {
        FileKind::Docx => cleaned(docx::render(bytes, limits)?),
        FileKind::Html => cleaned(html::render(&html_text(bytes)?, limits.max_depth)),
        FileKind::Markdown => {
            let prose = markdown::render(&unix_lines(encoding::decode(bytes)?));
            (prose.text, prose.title, prose.removed)
        }
        _ => cleaned(Rendered {
            text: unix_lines(encoding::decode(bytes)?),
            title: None,
        }),
    };
    match words_in(&text) {
        0 => Err(ImportError::Empty),
        _ => Ok(Passage {
            text,
            title,
            author: None,
            date: None,
            prompt: None,
            removed,
            kind,
        }),
    }
}

type Parts = (String, Option<String>, Vec<idiolect_core::sample::Removal>);

fn cleaned(document: Rendered) -> Parts {
    let cleaned = clean::own_words(document.text.trim());
    (cleaned.text, document.title, cleaned.removed)
}

fn unix_lines(text: String) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    }
}

/// An HTML file's text: where it is not Unicode, the encoding it names comes before guessing.
fn html_text(bytes: &[u8]) -> Result<String, ImportError> {
    let is_unicode = std::str::from_utf8(bytes).is_ok() || encoding::is_utf16(bytes);
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]).to_ascii_lowercase();
    let label = head.split_once("charset=").map(|(_, rest)| {
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        rest.split(['"', '\'', ' ', ';', '>', '/'])
            .next()
            .unwrap_or_default()
    });
    match label.and_then(encoding::named) {
        Some(encoding) if !is_unicode && !bytes.contains(&0) => {
            Ok(encoding.decode_without_bom_handling(bytes).0.into_owned())
        }
        _ => encoding::decode(bytes),
    }
}
