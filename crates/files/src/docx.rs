//! Word documents: the text of `word/document.xml`, unpacked as a stream and counted while unpacking.
//!
//! Text that was deleted with tracked changes is not taken, nothing outside the archive is opened, and no entity is
//! expanded but the five of XML and character numbers.

use std::io::{self, BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::html::Rendered;
use crate::{FileKind, ImportError, Limits};

/// The first bytes of the container in which Office keeps old documents, and new ones with a password.
pub(crate) const OLE_MAGIC: [u8; 8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

/// Takes the text out of a whole Word document.
///
/// # Errors
/// [`ImportError::PasswordProtected`], [`ImportError::ZipBomb`], [`ImportError::UnsupportedKind`] for other zip
/// archives and old `.doc` files, [`ImportError::Corrupt`].
pub(crate) fn render(bytes: &[u8], limits: &Limits) -> Result<Rendered, ImportError> {
    if bytes.starts_with(&OLE_MAGIC) {
        return Err(match holds_utf16(bytes, "EncryptedPackage") {
            true => ImportError::PasswordProtected,
            false => ImportError::UnsupportedKind {
                found: "an old Word document (.doc)",
            },
        });
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged_zip)?;
    let part = main_part(&archive).ok_or(ImportError::UnsupportedKind {
        found: "a zip archive that is not a Word document",
    })?;
    let entry = archive.by_name(&part).map_err(damaged_zip)?;
    let ceiling = (bytes.len() as u64)
        .saturating_mul(limits.max_zip_ratio)
        .max(1 << 20)
        .min(limits.max_unzipped_bytes);
    let metered = Metered {
        inner: entry,
        left: ceiling,
    };
    text_of(BufReader::new(metered)).map_err(|error| match error {
        quick_xml::Error::Io(error)
            if error.get_ref().is_some_and(|inner| inner.is::<BombMark>()) =>
        {
            ImportError::ZipBomb { limit: ceiling }
        }
        quick_xml::Error::Io(_) => damaged("its packed text cannot be unpacked"),
        _ => damaged("its text is not well-formed XML"),
    })
}

fn main_part<R: Read + io::Seek>(archive: &ZipArchive<R>) -> Option<String> {
    let is_main = |name: &str| name == "word/document.xml";
    // Some services number the main part, as in word/document2.xml.
    let is_numbered = |name: &str| {
        name.strip_prefix("word/document")
            .and_then(|rest| rest.strip_suffix(".xml"))
            .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    };
    let names = || archive.file_names().filter_map(Result::ok);
    let main = names()
        .find(|name| is_main(name))
        .or_else(|| names().find(|name| is_numbered(name)));
    main.map(|name| name.into_owned())
}

fn damaged_zip(error: ZipError) -> ImportError {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => ImportError::PasswordProtected,
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            ImportError::UnsupportedKind {
                found: "a Word document packed in an unusual way",
            }
        }
        _ => damaged("its zip container is broken or cut short"),
    }
}

fn damaged(why: &'static str) -> ImportError {
    ImportError::Corrupt {
        kind: FileKind::Docx,
        why,
    }
}

fn holds_utf16(bytes: &[u8], text: &str) -> bool {
    let needle: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Counts what comes out of the unpacker: the sizes written in an archive are only claims.
struct Metered<R> {
    inner: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("unpacks to too much")]
struct BombMark;

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other(BombMark))?;
        Ok(n)
    }
}

/// Walks the main part's XML (ECMA-376 part 1, WordprocessingML).
fn text_of(xml: impl io::BufRead) -> Result<Rendered, quick_xml::Error> {
    let mut reader = Reader::from_reader(xml);
    let mut body = Body::default();
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer)? {
            Event::Start(tag) => body.start(&tag),
            Event::Empty(tag) => {
                body.start(&tag);
                body.end(tag.name().as_ref());
            }
            Event::End(tag) => body.end(tag.name().as_ref()),
            Event::Text(text) if body.in_text => body.out.push_str(&text.xml10_content()),
            Event::CData(text) if body.in_text => body.out.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if body.in_text => {
                if let Ok(Some(c)) = reference.resolve_char_ref() {
                    body.out.push(c);
                } else if let Some(text) = quick_xml::escape::resolve_predefined_entity(&reference)
                {
                    body.out.push_str(text);
                }
            }
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    Ok(Rendered {
        text: body.out.trim().to_owned(),
        title: body.title,
    })
}

#[derive(Default)]
struct Body {
    out: String,
    title: Option<String>,
    /// Open elements whose content is not the document's present text.
    skipping: usize,
    in_text: bool,
    /// Where the open paragraph's text begins.
    paragraph_from: usize,
    is_heading: bool,
    is_item: bool,
    after_item: bool,
}

impl Body {
    fn start(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        match name.as_ref() {
            // The fallback repeats, for old programs, what stands beside it.
            "w:del" | "w:moveFrom" | "mc:Fallback" => self.skipping += 1,
            _ if self.skipping > 0 => {}
            "w:p" => {
                self.paragraph_from = self.out.len();
                (self.is_heading, self.is_item) = (false, false);
            }
            "w:numPr" => self.is_item = true,
            "w:pStyle" => {
                let style = tag
                    .attributes()
                    .with_checks(false)
                    .filter_map(Result::ok)
                    .find(|attribute| attribute.key.as_ref() == "w:val");
                self.is_heading |= style.is_some_and(|style| {
                    style.value.starts_with("Heading") || style.value.starts_with("Title")
                });
            }
            "w:t" => self.in_text = true,
            "w:tab" if self.paragraph_has_text() => self.out.push('\t'),
            "w:br" | "w:cr" => self.out.push('\n'),
            "w:noBreakHyphen" => self.out.push('-'),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "w:del" | "w:moveFrom" | "mc:Fallback" => {
                self.skipping = self.skipping.saturating_sub(1)
            }
            "w:t" => self.in_text = false,
            "w:p" if self.skipping == 0 => self.end_paragraph(),
            _ => {}
        }
    }

    /// Whether there is text in the open paragraph; a tab before any is part of the paragraph's settings or its indent.
    fn paragraph_has_text(&self) -> bool {
        self.out.len() > self.paragraph_from
    }

    fn end_paragraph(&mut self) {
        // A text box ends its paragraphs inside another one, whose beginning then lies before the box.
        let from = self.paragraph_from.min(self.out.len());
        let text = self.out[from..].trim();
        if text.is_empty() {
            self.out.truncate(from);
            return;
        }
        if self.is_heading && self.title.is_none() {
            self.title = Some(text.chars().take(300).collect());
        }
        if self.is_item {
            self.out.insert_str(from, "- ");
            if self.after_item && self.out[..from].ends_with("\n\n") {
                self.out.remove(from - 1);
            }
        }
        self.after_item = self.is_item;
        self.out.push_str("\n\n");
        self.paragraph_from = self.out.len();
    }
}
