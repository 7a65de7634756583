use std::io::Write;
use std::ops::ControlFlow;

use super::{File, file, read_all, read_with, scanned};
use crate::{Choice, FileKind, ImportError, Limits, read};

const REPLY: &str = "From: \"Tom Reed\" <Tom@Home.example>\r\nTo: ana@work.example\r\nSubject: =?utf-8?q?Re:_caf=C3=A9?=\r\n\
    Date: Fri, 3 May 2024 18:20:00 +0200\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Six is fine, and I=E2=80=99ll bring the cake.\r\n\r\n-- \r\nTom Reed\r\n+1 555 0100\r\n\r\n\
    On Fri, 3 May 2024 at 17:00, Ana <ana@work.example> wrote:\r\n> Shall we meet at six?\r\n> > earlier\r\n\
    --b\r\nContent-Type: image/png; name=\"cake.png\"\r\nContent-Disposition: attachment; filename=\"cake.png\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n";

#[test]
fn a_reply_keeps_only_what_its_writer_wrote() {
    let file = file("reply.eml", REPLY);
    let scan = scanned(&file).expect("a mail");
    assert_eq!(scan.kind, FileKind::Eml);
    let person = &scan.participants[0];
    assert_eq!(
        (person.key.as_str(), person.display.as_str()),
        ("tom@home.example", "Tom Reed")
    );
    assert_eq!(
        (person.messages, person.words),
        (1, 8),
        "quotation and signature are not counted"
    );

    let (passages, counts) = read_all(&file, &["TOM@home.example"]).expect("a mail");
    let passage = &passages[0];
    assert_eq!(passage.text.trim(), "Six is fine, and I’ll bring the cake.");
    assert_eq!(passage.title.as_deref(), Some("Re: café"));
    assert_eq!(passage.date.as_deref(), Some("2024-05-03T18:20:00+02:00"));
    assert_eq!(
        passage.prompt.as_deref(),
        Some("Shall we meet at six?"),
        "one level of the quotation"
    );
    assert_eq!(
        (counts.kept, counts.signatures, counts.attachments),
        (1, 1, 1)
    );
    assert!(counts.quoted_replies >= 1, "the quotation is counted");

    let (passages, counts) = read_all(&file, &["ana@work.example"]).expect("a mail");
    assert_eq!(
        (passages.len(), counts.other_people),
        (0, 1),
        "someone else's mail is not taken"
    );
    assert!(
        matches!(read_all(&file, &[]), Err(ImportError::NobodyChosen)),
        "somebody has to be chosen"
    );
}

#[test]
fn mail_that_is_only_html_is_rendered() {
    let mail = "From: tom@home.example\nSubject: s\nContent-Type: text/html; charset=iso-8859-1\n\
        Content-Transfer-Encoding: quoted-printable\n\n<html><style>p{}</style><p>The caf=E9 is closed today.</p>\
        <blockquote>Is it open?</blockquote></html>";
    let (passages, counts) =
        read_all(&file("html.eml", mail), &["tom@home.example"]).expect("a mail");
    assert_eq!(passages[0].text.trim(), "The café is closed today.");
    assert_eq!(
        passages[0].prompt.as_deref(),
        Some("Is it open?"),
        "the marked quotation is the prompt"
    );
    assert_eq!(counts.html_only, 1);
}

#[test]
fn parts_in_different_charsets_are_each_read_in_their_own() {
    let mut mail = b"From: tom@home.example\nContent-Type: multipart/mixed; boundary=b\n\n\
        --b\nContent-Type: text/plain; charset=iso-8859-15\n\nFirst: na\xefve, 5 \xa4.\n\
        --b\nContent-Type: text/plain; charset=utf-8\n\nSecond: "
        .to_vec();
    mail.extend("naïve.\n--b\nContent-Type: text/plain; charset=koi8-r\n\nThird: ".as_bytes());
    mail.extend(
        b"\xc4\xc1\n--b\nContent-Type: text/plain\n\nFourth, unnamed: na\xefve caf\xe9.\n--b--\n",
    );
    let (passages, _) = read_all(&file("mixed.eml", mail), &["tom@home.example"]).expect("a mail");
    assert_eq!(
        passages[0].text.trim(),
        "First: naïve, 5 €.\n\nSecond: naïve.\n\nThird: да\n\nFourth, unnamed: naïve café.",
        "named charsets are believed, an unnamed one is told from the bytes"
    );
}

#[test]
fn flowed_lines_are_joined() {
    let mail = "From: tom@home.example\nContent-Type: text/plain; format=flowed\n\nThis sentence was \nwrapped by the \nprogram.\nThis line was not.\n";
    let (passages, _) = read_all(&file("flowed.eml", mail), &["tom@home.example"]).expect("a mail");
    assert_eq!(
        passages[0].text.trim(),
        "This sentence was wrapped by the program.\nThis line was not."
    );
}

fn message(from: &str, body: &str) -> String {
    format!("From {from} Fri May  3 18:20:00 2024\nFrom: {from}\nSubject: s\n\n{body}\n\n")
}

#[test]
fn a_mailbox_is_split_where_messages_begin() {
    let mbox = [
        message(
            "tom@a.example",
            "The first thing I wrote.\n\n>From here on it is quoted.\nFrom noon it rained.",
        ),
        message("ana@a.example", "Something Ana wrote."),
        message(
            "tom@a.example",
            "The second thing I wrote.\n\nFrom me to you, as ever.",
        ),
        message(
            "tom@a.example",
            "the FIRST thing I wrote.\n\n>From here on it is quoted.\nFrom noon it rained.",
        ),
        message("tom@a.example", "Yes."),
        message("tom@a.example", ""),
    ]
    .concat();
    let file = file("mail.mbox", mbox);
    let scan = scanned(&file).expect("a mailbox");
    let people: Vec<_> = scan
        .participants
        .iter()
        .map(|p| (p.key.as_str(), p.messages))
        .collect();
    assert_eq!(
        people,
        [("tom@a.example", 4), ("ana@a.example", 1)],
        "most messages first, the empty one not counted"
    );

    let (passages, counts) = read_all(&file, &["tom@a.example"]).expect("a mailbox");
    let texts: Vec<_> = passages.iter().map(|passage| passage.text.trim()).collect();
    assert_eq!(
        texts,
        [
            "The first thing I wrote.\n\nFrom here on it is quoted.\nFrom noon it rained.",
            "The second thing I wrote.\n\nFrom me to you, as ever."
        ],
        "the guard mark is taken off and no sentence is taken for a separator"
    );
    assert_eq!(
        (
            counts.other_people,
            counts.duplicates,
            counts.too_short,
            counts.empty
        ),
        (1, 1, 1, 1),
        "one each: Ana's, the copy, \"Yes.\", the empty one"
    );
}

/// About 64 MB: a few mails with large attachments between many small ones.
fn large_mailbox(messages: usize) -> File {
    let file = file("large.mbox", "");
    let mut out =
        std::io::BufWriter::new(std::fs::File::create(&file.path).expect("the fixture opens"));
    let noise = "QUJD".repeat(19) + "\n";
    for i in 0..messages {
        let body = format!("Note number {i}, about the garden and the weather.");
        out.write_all(message("tom@a.example", &body).as_bytes())
            .expect("written");
        if i % 100 == 0 {
            out.write_all(noise.repeat(8 << 20 >> 6).as_bytes())
                .expect("written");
            out.write_all(b"\n").expect("written");
        }
    }
    drop(out);
    file
}

#[test]
fn a_large_mailbox_is_streamed_with_bounded_memory() {
    let file = large_mailbox(700);
    let bytes = std::fs::metadata(&file.path)
        .expect("the fixture is there")
        .len();
    assert!(bytes > 60_000_000, "the fixture is large: {bytes}");
    let limits = Limits {
        max_file_bytes: 1_000_000,
        max_message_bytes: 64 << 10,
        ..Limits::default()
    };
    let mut seen = Vec::new();
    let choice = Choice {
        mine: vec!["tom@a.example".into()],
    };
    let counts = read(
        &file.path,
        &choice,
        &limits,
        &mut |done, total| {
            assert!(
                done <= total && total == bytes,
                "progress is of the file's bytes"
            );
            seen.push(done);
            ControlFlow::Continue(())
        },
        &mut |passage| {
            assert!(
                passage.text.len() <= 64 << 10,
                "no more than the limit of a message is ever held"
            );
            ControlFlow::Continue(())
        },
    )
    .expect("the limit on documents does not hold for mailboxes");
    assert_eq!(
        counts.kept, 700,
        "every message, those with cut attachments too"
    );
    assert!(
        seen.is_sorted() && seen.last() == Some(&bytes),
        "progress rises to the end"
    );
    assert!(
        seen.len() > 100,
        "progress is told many times: {}",
        seen.len()
    );
}

#[test]
fn reading_stops_when_asked_to() {
    let file = large_mailbox(10);
    let choice = Choice {
        mine: vec!["tom@a.example".into()],
    };
    let mut calls = 0;
    let stopped = read(
        &file.path,
        &choice,
        &Limits::default(),
        &mut |_, _| {
            calls += 1;
            if calls == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
        &mut |_| ControlFlow::Continue(()),
    );
    assert!(
        matches!(stopped, Err(ImportError::Cancelled)),
        "{stopped:?}"
    );
    assert_eq!(calls, 3, "nothing is read after the word to stop");

    let mut kept = 0;
    let stopped = read(
        &file.path,
        &choice,
        &Limits::default(),
        &mut |_, _| ControlFlow::Continue(()),
        &mut |_| {
            kept += 1;
            ControlFlow::Break(())
        },
    );
    assert!(
        matches!(stopped, Err(ImportError::Cancelled)) && kept == 1,
        "the sink can stop it too"
    );
}

#[test]
fn the_limit_on_passages_ends_the_reading_without_an_error() {
    let limits = Limits {
        max_passages: 3,
        ..Limits::default()
    };
    let (passages, counts) =
        read_with(&large_mailbox(10), &["tom@a.example"], &limits).expect("no failure");
    assert_eq!(
        (passages.len(), counts.kept, counts.stopped_at_limit),
        (3, 3, true)
    );
}

#[test]
fn a_file_that_is_no_mailbox_is_refused() {
    let refused = scanned(&file("x.mbox", "Just a letter.\n"));
    assert!(
        matches!(
            refused,
            Err(ImportError::Corrupt {
                kind: FileKind::Mbox,
                ..
            })
        ),
        "{refused:?}"
    );
}
