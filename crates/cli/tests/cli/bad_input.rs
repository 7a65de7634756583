//! Bad input at the command line: each with its message, and nothing that was there before is lost.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{Home, texts};

const OWN: &str = "I wrote this long reply myself, slowly, on a wet afternoon, because your question about the garden wall deserved a proper answer and not a line scribbled between two meetings.";

fn home_with_one_text() -> Home {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    home.add_samples(1);
    home
}

fn samples(home: &Home) -> usize {
    home.json(&["sample", "list"]).as_array().unwrap().len()
}

/// The files of a home that hold these words, whatever kind of file it is.
fn holding(folder: &Path, words: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, words));
        } else if std::fs::read(&path)
            .unwrap()
            .windows(words.len())
            .any(|w| w == words.as_bytes())
        {
            found.push(path);
        }
    }
    found
}

/// A zip archive with one packed part, by hand: 135 MB of blanks in less than one.
fn zip_bomb() -> Vec<u8> {
    // Deflate with fixed codes: the last block, a blank, then "258 bytes from 1 byte back" over and over.
    let head = [1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    let again = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let bits: Vec<u8> = head
        .into_iter()
        .chain(again.into_iter().cycle().take(13 * 525_000))
        .collect();
    let packed: Vec<u8> = bits
        .chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |all, bit| all << 1 | bit))
        .collect();
    let name = b"word/document.xml";
    let sizes = [0, packed.len() as u32, 258 * 525_000 + 1]
        .map(u32::to_le_bytes)
        .concat();
    let names = [name.len() as u16, 0].map(u16::to_le_bytes).concat();
    // Version 2.0, no flags, deflated, no date.
    let how = [20, 0, 8, 0, 0u16].map(u16::to_le_bytes).concat();
    let local = [&b"PK\x03\x04"[..], &how, &sizes, &names, name, &packed].concat();
    let central = [
        &b"PK\x01\x02\x14\0"[..],
        &how,
        &sizes,
        &names,
        &[0; 14],
        name,
    ]
    .concat();
    let ends = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &(central.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [local, central, ends].concat()
}

#[test]
fn a_document_that_unpacks_without_end_is_refused() {
    let home = home_with_one_text();
    let bomb = home.file("letter.docx", &zip_bomb());
    let (code, error) = home.fails(&["sample", "add", &bomb]);
    assert_eq!(code, 1);
    assert!(error.contains("unpacks to far more"), "{error}");
    assert_eq!(samples(&home), 1, "what was there is still there");
}

#[test]
fn mail_that_is_only_html_is_read_and_said() {
    let home = home_with_one_text();
    let mail = format!(
        "From: Me <me@example.org>\nSubject: The wall\nContent-Type: text/html; charset=iso-8859-1\n\n<html><style>p{{}}</style><p>{OWN}</p><script>x()</script></html>"
    );
    let file = home.file("wall.eml", mail.as_bytes());
    let added = home.json(&["sample", "add", &file, "--mine", "me@example.org"]);
    assert_eq!(added["samples"][0]["text"].as_str().unwrap().trim(), OWN);
    assert_eq!(added["counts"][0]["html_only"], 1);
    assert_eq!(added["counts"][0]["stopped_at_limit"], false);
    let said = home.run(&["sample", "add", &file, "--mine", "me@example.org"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("1 mails had no plain text"), "{said}");
}

#[test]
fn parts_in_mixed_charsets_are_each_read_in_their_own() {
    let home = home_with_one_text();
    let mut mail = b"From: me@example.org\nContent-Type: multipart/mixed; boundary=b\n\n\
        --b\nContent-Type: text/plain; charset=iso-8859-15\n\nFirst: na\xefve, 5 \xa4 in the till this morning.\n--b\n\
        Content-Type: text/plain; charset=utf-8\n\nSecond: "
        .to_vec();
    mail.extend("naïve again, and colder than the day before.\n--b--\n".as_bytes());
    let mail = home.file("mixed.eml", &mail);
    let added = home.json(&["sample", "add", &mail, "--mine", "me@example.org"]);
    let text = added["samples"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("First: naïve, 5 €") && text.contains("Second: naïve again"),
        "{text}"
    );
    // A file that says nothing of its charset, and one with bytes of two.
    let latin = home.file(
        "latin.txt",
        b"The caf\xe9 on the corner was na\xefvely empty, as it is each Monday in the winter.",
    );
    let text = &home.json(&["sample", "add", &latin])["samples"][0]["text"];
    assert!(
        text.as_str()
            .unwrap()
            .starts_with("The café on the corner was naïvely"),
        "{text}"
    );
    let two = home.file(
        "two.txt",
        "The café here, "
            .bytes()
            .chain(*b"the caf\xe9 there, and a long walk between.")
            .collect::<Vec<_>>()
            .as_slice(),
    );
    let text = &home.json(&["sample", "add", &two])["samples"][0]["text"];
    assert!(
        text.as_str().unwrap().contains("and a long walk between"),
        "{text}"
    );
}

#[test]
fn one_bad_file_keeps_no_other_out() {
    let home = home_with_one_text();
    let good = home.file("good.txt", texts("harrow")[1].as_bytes());
    let bad = home.file("bad.txt", b"");
    let gone = home
        .path()
        .join("not-there.txt")
        .to_string_lossy()
        .into_owned();
    let other = home.file("other.txt", texts("harrow")[2].as_bytes());
    let output = home.run(&["--json", "sample", "add", &good, &bad, &gone, &other]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("2 of 4 failed") && error.contains("hint: "),
        "{error}"
    );
    assert!(error.contains("bad.txt: The file holds no text"), "{error}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["counts"].as_array().unwrap().len(), 2);
    let failed = said["failed"].as_array().unwrap();
    assert_eq!(
        (failed[0]["file"].as_str(), failed[0]["code"].as_str()),
        (Some(&*bad), Some("empty"))
    );
    assert_eq!(failed[1]["file"].as_str(), Some(&*gone));
    assert_eq!(samples(&home), 3, "the first and the last are in");
}

#[test]
fn a_book_becomes_several_samples() {
    let home = home_with_one_text();
    let chapters: Vec<String> = (0..30)
        .map(|i| format!("Chapter {i}. {}", OWN.repeat(8)))
        .collect();
    let book = home.file("book.txt", chapters.join("\n\n").as_bytes());
    let added = home.json(&["sample", "add", &book]);
    let parts = added["counts"][0]["kept"].as_u64().unwrap();
    assert!(
        parts > 1 && added["counts"][0]["split"] == 1,
        "{}",
        added["counts"]
    );
    assert_eq!(samples(&home) as u64, 1 + parts);
    let again = home.json(&["sample", "add", &book]);
    assert_eq!(
        again["counts"][0]["duplicates"].as_u64(),
        Some(parts),
        "cut the same way again"
    );
}

#[test]
fn no_file_of_a_home_holds_what_was_cut_from_mail() {
    let home = home_with_one_text();
    let mail = format!(
        "From: Me <me@example.org>\nSubject: The wall\n\n{OWN}\n\n> zqxjkvquote, they asked\n\n-- \nzqxjkvsigna, Director of Walls\n"
    );
    let file = home.file("wall.eml", mail.as_bytes());
    let added = home.json(&["sample", "add", &file, "--mine", "me@example.org"]);
    let id = added["samples"][0]["id"].as_str().unwrap();
    let kinds: Vec<_> = added["samples"][0]["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["quoted_reply", "signature"],
        "that something was cut is kept"
    );
    // A snapshot is taken with it.
    home.json(&["profile", "new", "another"]);
    home.json(&["profile", "delete", "--yes", "--profile", "another"]);
    for cut in ["zqxjkvquote", "zqxjkvsigna"] {
        let found = holding(&home.path().join("home"), cut);
        assert!(found.is_empty(), "{cut} is in {found:?}");
    }
    let (_, error) = home.fails(&["sample", "restore", id]);
    assert!(error.contains("never stored"), "{error}");
}

#[test]
fn what_was_removed_is_in_no_file_once_the_copies_are_forgotten() {
    let home = home_with_one_text();
    let text = format!("zqxjkvsecret. {}", texts("finch")[0]);
    let add = || {
        let file = home.file("secret.txt", text.as_bytes());
        home.json(&["sample", "add", &file])["samples"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let folder = home.path().join("home");
    let gone = home.json(&["sample", "remove", &add()]);
    assert_eq!(gone["copies"], 1);
    assert_eq!(
        holding(&folder, "zqxjkvsecret").len(),
        1,
        "the way back holds it"
    );
    let said = home.run(&["sample", "remove", &add()]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.contains("2 safety copies") && said.contains("forget-copies"),
        "{said}"
    );
    home.json(&["sample", "forget-copies"]);
    assert!(holding(&folder, "zqxjkvsecret").is_empty());
    let gone = home.json(&["sample", "remove", &add(), "--forget-copies"]);
    assert_eq!(gone["copies"], 0);
    assert!(holding(&folder, "zqxjkvsecret").is_empty());
    add();
    home.json(&["profile", "delete", "--yes", "--forget-copies"]);
    assert!(holding(&folder, "zqxjkvsecret").is_empty());
}

#[test]
fn two_processes_and_more_share_one_home_and_lose_nothing() {
    let home = home_with_one_text();
    let files: Vec<String> = texts("finch")
        .iter()
        .take(6)
        .enumerate()
        .map(|(i, text)| home.file(&format!("finch{i}.txt"), text.as_bytes()))
        .collect();
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| home.json(&["sample", "add", file]));
        }
    });
    assert_eq!(samples(&home), 1 + files.len());
}

#[cfg(unix)]
#[test]
fn a_home_that_may_not_be_written_says_what_to_do() {
    use std::os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    };
    /// "nobody", as far as one is known everywhere.
    const NOBODY: u32 = 65_534;

    let home = home_with_one_text();
    let folder = home.path().join("home");
    // The superuser may write anywhere, so for them the program runs as somebody who may not.
    let probe = home.path().join("probe");
    std::fs::create_dir(&probe).unwrap();
    std::fs::set_permissions(&probe, PermissionsExt::from_mode(0o500)).unwrap();
    let is_superuser = std::fs::write(probe.join("x"), b"").is_ok();

    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_idiolect"));
    if is_superuser {
        // Where the program was built, others may not look.
        let copy = home.path().join("idiolect");
        std::fs::copy(&program, &copy).unwrap();
        program = copy;
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let open = folder.join("open");
    for path in [
        folder.join("idiolect.db"),
        open.join("guard"),
        open.clone(),
        folder.clone(),
    ] {
        if is_superuser {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mode = if path.is_dir() { 0o500 } else { 0o400 };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut command = std::process::Command::new(program);
    command
        .args(["--home".as_ref(), folder.as_os_str()])
        .args(["--models".as_ref(), home.models.as_os_str()])
        .args(["sample", "list"]);
    if is_superuser {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    for path in [&open, &folder] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
    }
    std::fs::set_permissions(folder.join("idiolect.db"), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::set_permissions(open.join("guard"), PermissionsExt::from_mode(0o600)).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("The home folder cannot be written")
            && error.contains("Make the folder writable for you")
            && error.contains("--home"),
        "{error}"
    );
    assert_eq!(samples(&home), 1, "what was there is still there");
}
