use super::{docx, file, only, read_all, scanned};
use crate::{FileKind, ImportError, Limits, from_pasted};
use idiolect_core::sample::RemovalKind;

const LETTER: &str = "Dear Ana,\n\nthe café was full – so we walked home.\n";

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn every_encoding_of_a_text_gives_the_same_words() {
    let windows_1252 = LETTER.replace('é', "\u{0}").replace('–', "\u{1}");
    let windows_1252: Vec<u8> = windows_1252
        .bytes()
        .map(|b| match b {
            0 => 0xe9,
            1 => 0x96,
            b => b,
        })
        .collect();
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
    for (encoding, bytes) in [
        ("UTF-8", LETTER.as_bytes().to_vec()),
        (
            "UTF-8 with a mark",
            marked(b"\xef\xbb\xbf", LETTER.as_bytes().to_vec()),
        ),
        (
            "UTF-16LE with a mark",
            marked(b"\xff\xfe", utf16(LETTER, u16::to_le_bytes)),
        ),
        (
            "UTF-16BE with a mark",
            marked(b"\xfe\xff", utf16(LETTER, u16::to_be_bytes)),
        ),
        ("UTF-16LE", utf16(LETTER, u16::to_le_bytes)),
        ("UTF-16BE", utf16(LETTER, u16::to_be_bytes)),
        ("Windows-1252", windows_1252),
        ("UTF-8 with CRLF", LETTER.replace('\n', "\r\n").into_bytes()),
    ] {
        let passage = only("letter.txt", bytes);
        assert_eq!(passage.text.trim(), LETTER.trim(), "read from {encoding}");
        assert_eq!(passage.kind, FileKind::PlainText);
    }
}

#[test]
fn a_file_of_two_encodings_is_read_line_by_line() {
    let passage = only(
        "mixed.txt",
        b"One line in UTF-8: caf\xc3\xa9.\nAnd one in Windows-1252: na\xefve caf\xe9.\n",
    );
    assert_eq!(
        passage.text.trim(),
        "One line in UTF-8: café.\nAnd one in Windows-1252: naïve café.",
        "neither line is spoiled by the other"
    );
}

#[test]
fn markdown_and_html_give_prose_with_a_title() {
    let passage = only(
        "note.md",
        "# On rain\n\nIt *rained* all day.\n\n```\ncode\n```\n",
    );
    assert_eq!(passage.text.trim(), "On rain\n\nIt rained all day.");
    assert_eq!(passage.title.as_deref(), Some("On rain"));
    assert_eq!(
        passage.removed[0].kind,
        RemovalKind::NotProse,
        "the code is recorded"
    );

    let page = b"<html><head><meta charset=\"iso-8859-1\"><title>Rain</title></head><body><p>Caf\xe9 closed.</p></body></html>";
    let passage = only("page.htm", page);
    assert_eq!(
        passage.text.trim(),
        "Café closed.",
        "the charset that the page names is believed"
    );
    assert_eq!(passage.title.as_deref(), Some("Rain"));
}

#[test]
fn a_word_document_gives_its_present_text() {
    let body = "<w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r><w:t>Our trip</w:t></w:r></w:p>\
        <w:p/><w:p><w:r><w:t xml:space=\"preserve\">We left </w:t></w:r><w:del><w:r><w:delText>late</w:delText><w:t>late</w:t></w:r></w:del>\
        <w:ins><w:r><w:t>early</w:t></w:r></w:ins><w:r><w:t> &amp; came</w:t><w:tab/><w:t>back&#x21;</w:t><w:br/><w:t>Tired.</w:t></w:r></w:p>\
        <w:p><w:pPr><w:tabs><w:tab w:val=\"left\"/></w:tabs><w:numPr/></w:pPr><w:r><w:t>tent</w:t></w:r></w:p>\
        <w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>stove</w:t></w:r></w:p>\
        <w:p><w:r><mc:AlternateContent><mc:Choice><w:t>Once.</w:t></mc:Choice><mc:Fallback><w:t>Once.</w:t></mc:Fallback></mc:AlternateContent></w:r></w:p>";
    let passage = only("trip.docx", docx(body));
    assert_eq!(
        passage.text.trim(),
        "Our trip\n\nWe left early & came\tback!\nTired.\n\n- tent\n- stove\n\nOnce.",
        "paragraphs, tabs, breaks and lists, without deleted text"
    );
    assert_eq!(
        (passage.title.as_deref(), passage.kind),
        (Some("Our trip"), FileKind::Docx)
    );
}

#[test]
fn documents_have_no_participants() {
    let scan = scanned(&file("letter.txt", LETTER)).expect("a letter");
    assert_eq!(
        (scan.passages, scan.participants.len(), scan.bytes),
        (1, 0, LETTER.len() as u64)
    );
}

#[test]
fn pasted_text_is_cleaned_and_checked() {
    let limits = Limits::default();
    let passage = from_pasted(
        "I will come at six.\n\nOn 3 May 2024 Ana wrote:\n> When will you come?\n",
        &limits,
    )
    .expect("text");
    assert_eq!(
        (passage.text.trim(), passage.kind),
        ("I will come at six.", FileKind::Pasted)
    );
    assert_eq!(passage.removed.len(), 1, "the quoted reply is recorded");
    assert!(
        matches!(from_pasted(" \n\t", &limits), Err(ImportError::Empty)),
        "white space is no text"
    );
    let small = Limits {
        max_file_bytes: 10,
        ..limits
    };
    assert!(matches!(
        from_pasted("more than ten", &small),
        Err(ImportError::TooLarge {
            bytes: 13,
            limit: 10
        })
    ));
}

#[test]
fn a_document_read_twice_is_the_same_text() {
    let file = file("letter.txt", LETTER);
    let (first, second) = (
        read_all(&file, &[]).expect("a letter"),
        read_all(&file, &[]).expect("a letter"),
    );
    assert_eq!(first, second, "reading changes nothing");
}
