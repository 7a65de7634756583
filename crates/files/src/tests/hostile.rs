use idiolect_core::ErrorCode;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{archive, docx, file, read_all, read_with, scanned};
use crate::{ImportError, Limits};

fn refusal(name: &str, bytes: impl AsRef<[u8]>) -> ImportError {
    let file = file(name, bytes);
    let error = read_all(&file, &["user"]).expect_err("a bad file is refused");
    assert_eq!(
        error.code(),
        scanned(&file).expect_err("by both ways in").code(),
        "scan and read agree"
    );
    assert!(
        !error.hint().is_empty(),
        "every refusal says what to do next"
    );
    error
}

#[test]
fn empty_files_are_refused() {
    for name in [
        "a.txt", "a.md", "a.html", "a.docx", "a.eml", "a.mbox", "a.json", "a",
    ] {
        assert!(matches!(refusal(name, ""), ImportError::Empty), "{name}");
    }
    assert!(
        matches!(refusal("a.txt", " \n\n"), ImportError::Empty),
        "nothing but white space"
    );
    assert!(
        matches!(refusal("a.html", "<p><br></p>"), ImportError::Empty),
        "nothing but markup"
    );
}

#[test]
fn a_text_of_50_mb_is_refused_before_it_is_read() {
    // Words up to where the kind is told, and a hole after them.
    let large = file("large.txt", "word ".repeat(20_000));
    std::fs::File::options()
        .write(true)
        .open(&large.path)
        .and_then(|file| file.set_len(50_000_000))
        .expect("the fixture grows");
    let error = scanned(&large).expect_err("too large");
    assert!(
        matches!(
            error,
            ImportError::TooLarge {
                bytes: 50_000_000,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("50.0 MB"),
        "the message names the size: {error}"
    );
    assert_eq!(error.code(), ErrorCode::TooLarge);
}

#[test]
fn binaries_are_refused_whatever_they_are_called() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise: Vec<u8> = (0..5000).map(|_| rng.random()).collect();
    for name in ["a.txt", "a.md", "a.html", "a"] {
        assert!(
            matches!(refusal(name, &noise), ImportError::Binary),
            "{name}"
        );
    }
    let image = refusal("photo.txt", b"\x89PNG\r\n\x1a\n....");
    assert_eq!(
        (image.code(), image.to_string().contains("image")),
        (ErrorCode::UnsupportedFile, true),
        "{image}"
    );
}

#[test]
fn word_documents_that_cannot_be_read_say_why() {
    let ole = |name: &str| {
        let mut bytes = vec![0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
        bytes.extend(vec![0; 600]);
        bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        bytes
    };
    assert!(matches!(
        refusal("secret.docx", ole("EncryptedPackage")),
        ImportError::PasswordProtected
    ));
    assert!(matches!(
        refusal("old.doc", ole("WordDocument")),
        ImportError::UnsupportedKind { .. }
    ));
    let whole = docx("<w:p><w:r><w:t>A short text.</w:t></w:r></w:p>");
    assert!(matches!(
        refusal("cut.docx", &whole[..whole.len() / 2]),
        ImportError::Corrupt { .. }
    ));
    assert!(matches!(
        refusal("wrong.docx", "plain words"),
        ImportError::Corrupt { .. }
    ));
    let other = archive(&[("xl/workbook.xml", b"<x/>")]);
    assert!(matches!(
        refusal("sheet.docx", other),
        ImportError::UnsupportedKind { .. }
    ));
    let broken = archive(&[("word/document.xml", b"<w:document><w:p></w:document>")]);
    assert!(matches!(
        refusal("broken.docx", broken),
        ImportError::Corrupt { .. }
    ));
}

#[test]
fn a_zip_bomb_is_stopped_while_it_unpacks() {
    let bomb = docx(&format!(
        "<w:p><w:r><w:t>{}</w:t></w:r></w:p>",
        "a".repeat(64 << 20)
    ));
    assert!(bomb.len() < 200_000, "the bomb is small: {}", bomb.len());
    assert!(matches!(
        refusal("bomb.docx", &bomb),
        ImportError::ZipBomb { .. }
    ));
    // The size written in the archive is a lie; what counts is what comes out.
    let mut lying = bomb.clone();
    let claim = (64u32 << 20).to_le_bytes();
    for at in 0..lying.len() - 4 {
        if lying[at + 1..at + 4] == claim[1..] {
            lying[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
        }
    }
    assert!(lying != bomb, "the claim was found");
    assert!(matches!(
        refusal("lying.docx", lying),
        ImportError::ZipBomb { .. } | ImportError::Corrupt { .. }
    ));
    let small = Limits {
        max_unzipped_bytes: 1000,
        ..Limits::default()
    };
    let long = docx(&"<w:p><w:r><w:t>words and words</w:t></w:r></w:p>".repeat(1000));
    let refused = read_with(&file("long.docx", long), &[], &small);
    assert!(
        matches!(refused, Err(ImportError::ZipBomb { limit: 1000 })),
        "{refused:?}"
    );
}

#[test]
fn entities_are_neither_fetched_nor_multiplied() {
    let xml = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\"><!ENTITY f SYSTEM \"file:///etc/hostname\">]>\
        <w:document><w:p><w:t>Before &b;&f; after.</w:t></w:p></w:document>";
    let passage = super::only("x.docx", archive(&[("word/document.xml", xml.as_bytes())]));
    assert_eq!(
        passage.text.trim(),
        "Before  after.",
        "unknown entities are left out"
    );
}

#[test]
fn mail_nested_beyond_reason_is_read_to_its_first_levels() {
    let nested = "Content-Type: message/rfc822\n\n".repeat(200_000);
    let mail = format!(
        "From: tom@a.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nMy own words here.\n--b\n{nested}\n--b--\n"
    );
    let (passages, _) =
        read_all(&file("deep.eml", mail), &["tom@a.example"]).expect("the text comes first");
    assert_eq!(passages[0].text.trim(), "My own words here.");
}

#[test]
fn what_is_not_a_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = super::File {
        path: folder.path().join("gone.txt"),
        _folder: None,
    };
    assert!(matches!(scanned(&gone), Err(ImportError::Io(_))), "missing");
    let itself = super::File {
        path: folder.path().to_owned(),
        _folder: None,
    };
    assert!(
        matches!(scanned(&itself), Err(ImportError::Io(_))),
        "a folder"
    );
}

#[test]
fn messages_hold_no_text_of_the_file() {
    let error = refusal(
        "x.json",
        "[{\"role\":\"user\",\"content\":\"my private words\",,}]",
    );
    let shown = format!("{error} {} {error:?}", error.hint());
    assert!(!shown.contains("private"), "{shown}");
}

/// Characters that mean something to one of the parsers.
const MARKS: &[u8] = b"<>\"\n[]{}\0:=&-";

/// Random changes of well-formed files, and noise, through every parser: any result will do, a panic will not.
#[test]
fn no_parser_panics_on_arbitrary_bytes() {
    let html = b"<html><h1>T</h1><p>a<br>b</p><blockquote class=gmail_quote>q</blockquote><!-- c --><pre> x\n y</pre>".to_vec();
    let eml = b"From: =?utf-8?b?w6k=?= <user>\nDate: Fri, 3 May 2024 18:20:00 +0200\nContent-Type: multipart/mixed; boundary=\"b\"\n\n\
        --b\nContent-Type: text/plain; charset=latin1; format=flowed\nContent-Transfer-Encoding: quoted-printable\n\na=E9 \nb\n\
        --b\nContent-Type: message/rfc822\n\nFrom: x\n\ny\n--b\nContent-Transfer-Encoding: base64\n\nAAAA\n--b--\n"
        .to_vec();
    let mbox = [
        b"From x Fri May  3 18:20:00 2024\n".to_vec(),
        eml.clone(),
        b"\nFrom y 10:00\n\n>From z\n".to_vec(),
    ]
    .concat();
    let json = br#"[{"title":"t","mapping":{"a":{"parent":null,"message":{"author":{"role":"user"},"create_time":1e9,"content":{"parts":["\u00e9",{"text":1}]}}}},"current_node":"a"},
        {"messages":[{"from":"user","text":["a",{"text":"b"}],"date":"2024-01-01T00:00:00"}]}]"#.to_vec();
    let markdown = b"---\na: b\n---\n# T\n\n* a\n  * b\n\n> q\n\n```\nc\n```\n| a | b |\n|---|---|\n| c | d |\n[^1]: n\n".to_vec();
    let log = b"12/03/24, 10:15 - user: a b c\n12/03/24, 10:16 - user: d\n[12/03/24, 10:17] x: e\n"
        .to_vec();
    let seeds: [(&str, Vec<u8>); 8] = [
        (
            "f.docx",
            docx("<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>a &amp; b</w:t></w:r></w:p>"),
        ),
        ("f.html", html),
        ("f.eml", eml),
        ("f.mbox", mbox),
        ("f.json", json),
        ("f.md", markdown),
        ("f.txt", log),
        ("f", b"plain caf\xe9 text\n".to_vec()),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    for (name, seed) in &seeds {
        for round in 0..400 {
            let mut bytes = seed.clone();
            if round % 10 == 9 {
                bytes = (0..rng.random_range(1..400))
                    .map(|_| rng.random())
                    .collect();
            }
            for _ in 0..rng.random_range(0..12) {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..4) {
                    0 => bytes[at] = rng.random(),
                    1 => bytes.truncate(at.max(1)),
                    2 => bytes.insert(at, MARKS[rng.random_range(0..MARKS.len())]),
                    _ => {
                        let piece = bytes[at..(at + 20).min(bytes.len())].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            // A new name each time: writing over a file makes some file systems wait for the disk.
            let path = folder.path().join(format!("{round}{name}"));
            std::fs::write(&path, &bytes).expect("the case is written");
            let case = super::File {
                path,
                _folder: None,
            };
            let _ = scanned(&case);
            if let Ok((passages, counts)) = read_all(&case, &["user", "x"]) {
                assert_eq!(
                    passages.len(),
                    counts.kept,
                    "{name}, round {round}: counts are true"
                );
            }
        }
    }
}
