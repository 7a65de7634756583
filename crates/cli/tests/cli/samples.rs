//! Texts in: pasted, imported, looked at first; what is refused.

use serde_json::Value;

use crate::support::{Home, texts};

#[test]
fn paste_to_profile_without_a_model() {
    let home = Home::new();
    home.json(&["profile", "new", "My letters"]);
    home.add_samples(6);
    assert_eq!(home.json(&["sample", "list"]).as_array().unwrap().len(), 6);
    let fingerprint = home.json(&["fingerprint"]);
    assert!(fingerprint["words"].as_u64().unwrap() > 500);
    let dashes = fingerprint["features"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["id"] == "punct.dash")
        .unwrap();
    assert!(
        dashes["value"].as_f64().unwrap() > dashes["reference"]["high"].as_f64().unwrap(),
        "this author's dashes stand out: {dashes}"
    );
    let quote = &dashes["evidence"][0];
    let sample = home.json(&["sample", "show", quote["sample"].as_str().unwrap()]);
    let (start, end) = (
        quote["start"].as_u64().unwrap() as usize,
        quote["end"].as_u64().unwrap() as usize,
    );
    assert_eq!(
        &sample["text"].as_str().unwrap()[start..end],
        quote["text"].as_str().unwrap(),
        "a quote is verbatim"
    );

    let reading = home.json(&["dimension", "set", "communication_style", "0.8"]);
    assert_eq!(reading["override"], 0.8);
    assert_eq!(
        home.json(&["dimension", "reset", "communication_style"])["override"],
        Value::Null
    );
    let added = home.json(&["hypotheses", "add", "Never uses exclamation marks."]);
    home.json(&["hypotheses", "reject", added["id"].as_str().unwrap()]);
    let voice = home.json(&["profile", "export"]);
    assert!(!voice["system_prompt"].as_str().unwrap().is_empty());

    let gone = home.json(&["sample", "remove", sample["id"].as_str().unwrap()]);
    assert!(gone["what"].as_str().unwrap().contains("removed"));
    assert_eq!(home.json(&["sample", "list"]).as_array().unwrap().len(), 5);
    home.json(&["profile", "delete", "--yes"]);
    assert_eq!(home.json(&["profile", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn bad_files_are_named_and_nothing_is_lost() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    home.add_samples(1);
    let said = |name: &str, bytes: &[u8]| home.fails(&["sample", "add", &home.file(name, bytes)]).1;
    assert!(said("empty.txt", b"").contains("no text"));
    assert!(said("noise.txt", &[0u8, 159, 146, 150, 0, 1, 2, 3].repeat(200)).contains("binary"));
    assert!(said("large.txt", &vec![b'a'; 50 << 20]).contains("at most"));
    // A Word document with a password is an OLE container with a stream of this name.
    let stream: Vec<u8> = "EncryptedPackage"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let ole = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    let protected = [&ole[..], &[0; 1016], &stream, &[0; 992]].concat();
    assert!(said("letter.docx", &protected).contains("password"));
    let again = home.json(&[
        "sample",
        "add",
        &home.file("again.txt", texts("harrow")[0].as_bytes()),
    ]);
    assert_eq!(
        again["counts"][0]["duplicates"], 1,
        "the same text twice is kept once"
    );
    let (_, error) = home.fails(&[
        "models",
        "import",
        &home.file("cut.gguf", b"GGUF\x03\0\0\0"),
    ]);
    assert!(error.to_lowercase().contains("damaged"), "{error}");

    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(texts("finch")[0].encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let added = home.json(&["sample", "add", &home.file("utf16.txt", &utf16)]);
    assert_eq!(
        added["samples"].as_array().unwrap().len(),
        1,
        "UTF-16 is text"
    );
    assert_eq!(
        home.json(&["sample", "list"]).as_array().unwrap().len(),
        2,
        "and the first one is still there"
    );
}

#[test]
fn mail_keeps_one_s_own_words_only() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    let own = "I wrote this long reply myself, slowly, on a wet afternoon, because your question about the garden wall deserved a proper answer and not a line scribbled between two meetings.";
    let mail = format!(
        "From: Me <me@example.org>\nTo: you@example.org\nSubject: The wall\nContent-Type: text/plain; charset=utf-8\n\n{own}\n\n> What about the wall, they asked\n\n-- \nMe, Director of Walls\n"
    );
    let file = home.file("wall.eml", mail.as_bytes());
    let (_, error) = home.fails(&["sample", "add", &file]);
    assert!(
        error.contains("hint"),
        "somebody has to say whose words these are: {error}"
    );
    let added = home.json(&["sample", "add", &file, "--mine", "me@example.org"]);
    let text = added["samples"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("garden wall") && !text.contains("they asked") && !text.contains("Director"),
        "{text}"
    );
    assert!(
        !added.to_string().contains("they asked"),
        "other people's words are stored nowhere"
    );
}

#[test]
fn a_file_can_be_looked_at_before_it_is_imported() {
    let home = Home::new();
    let message = |from: &str, words: &str| {
        format!(
            "From x@example.org Mon Jan  1 00:00:00 2024\nFrom: {from}\nSubject: wall\nContent-Type: text/plain; charset=utf-8\n\n{words}\n\n"
        )
    };
    let long = "The garden wall leans a little further every winter, and this year it has begun to drop stones. ";
    let mailbox = [
        message("Ada <ada@example.org>", &long.repeat(2)),
        message("Tom <tom@example.org>", long),
        message("Ada <ada@example.org>", long),
    ]
    .concat();
    let file = home.file("wall.mbox", mailbox.as_bytes());
    // Looking needs no profile.
    let scan = home.json(&["sample", "scan", &file]);
    crate::support::has_keys(&scan, "file_name kind bytes passages participants");
    assert_eq!(scan["file_name"], "wall.mbox");
    let messages = |who: &str| {
        let all = scan["participants"].as_array().unwrap();
        let found = all.iter().find(|p| p["key"] == who).unwrap();
        crate::support::has_keys(found, "key display messages words");
        found["messages"].as_u64().unwrap()
    };
    assert_eq!(messages("ada@example.org"), 2);
    assert_eq!(messages("tom@example.org"), 1);
    assert!(
        home.words(&["sample", "scan", &file])
            .contains("ada@example.org")
    );
    home.json(&["profile", "new", "p"]);
    assert_eq!(home.json(&["sample", "list"]), serde_json::json!([]));
    let letter = home.file("letter.txt", long.repeat(3).as_bytes());
    assert!(
        home.words(&["sample", "scan", &letter])
            .contains("counts as yours")
    );
}
