//! Bytes to text: which encoding a file is in, and whether it is text at all.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::ImportError;

/// Decodes a whole text file: UTF-8 and UTF-16 with or without a byte-order mark, else the legacy encoding that
/// fits best. A file glued together from UTF-8 and an 8-bit encoding is decoded line by line.
///
/// # Errors
/// [`ImportError::Binary`] where the bytes are not text.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, ImportError> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return checked(
            encoding
                .decode_without_bom_handling(&bytes[mark..])
                .0
                .into_owned(),
        );
    }
    if let Some(encoding) = unmarked_utf16(bytes) {
        return checked(encoding.decode_without_bom_handling(bytes).0.into_owned());
    }
    if bytes.contains(&0) {
        return Err(ImportError::Binary);
    }
    checked(decode_8bit(bytes))
}

/// Whether the file's first bytes are UTF-16, told by a mark or by where the zero bytes stand.
pub(crate) fn is_utf16(head: &[u8]) -> bool {
    let marked = Encoding::for_bom(head).is_some_and(|(encoding, _)| encoding != UTF_8);
    marked || unmarked_utf16(head).is_some()
}

/// Decodes bytes that are known to be text in some ASCII-compatible encoding.
pub(crate) fn decode_8bit(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let foreign = || lines(bytes).filter(|line| std::str::from_utf8(line).is_err());
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    for line in foreign() {
        detector.feed(line, false);
    }
    detector.feed(b"", true);
    let encoding = detector.guess(None, chardetng::Utf8Detection::Deny);
    if !encoding.is_single_byte() {
        return encoding.decode_without_bom_handling(bytes).0.into_owned();
    }
    lines(bytes)
        .map(|line| match std::str::from_utf8(line) {
            Ok(line) => line.into(),
            Err(_) => encoding.decode_without_bom_handling(line).0,
        })
        .collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&b| b == b'\n')
}

/// UTF-16 without a mark has nearly all its zero bytes on one side of each pair, as long as the text is mostly in
/// a script below U+0100. (Other scripts without a mark cannot be told from noise and are refused as binary.)
fn unmarked_utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let looked = &bytes[..bytes.len().min(64 << 10) & !1];
    let pairs = looked.len() / 2;
    let zeros = |at: usize| {
        looked
            .iter()
            .skip(at)
            .step_by(2)
            .filter(|&&b| b == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    if pairs >= 2 && odd * 10 >= pairs * 6 && even * 50 <= pairs {
        Some(UTF_16LE)
    } else if pairs >= 2 && even * 10 >= pairs * 6 && odd * 50 <= pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Refuses decoded text with more control and replacement characters than a text has.
fn checked(text: String) -> Result<String, ImportError> {
    let odd = |c: &char| matches!(c, '\u{0}'..='\u{8}' | '\u{e}'..='\u{1a}' | '\u{1c}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffd}');
    let looked = 256 << 10;
    let (mut all, mut bad) = (0usize, 0usize);
    for c in text.chars().take(looked) {
        all += 1;
        bad += usize::from(odd(&c));
    }
    match bad * 50 > all {
        true => Err(ImportError::Binary),
        false => Ok(text),
    }
}

/// The 8-bit encoding that a label in a file names, such as `iso-8859-1` (read as Windows-1252, as browsers do).
pub(crate) fn named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.trim().as_bytes())
        .filter(|encoding| encoding.is_ascii_compatible() && *encoding != UTF_8)
}
