//! From a passage to the samples that are stored: what of it may be kept, cut where it is long, counted and labelled.

use idiolect_core::{
    ids::{ProfileId, SampleId},
    sample::{Removal, RemovalKind, Sample, SampleKind},
};
use idiolect_files::Passage;
use idiolect_text::{chunk, features, language, segment::Span};

/// Below this a sample says little by itself.
const SHORT_WORDS: u32 = 75;
/// A longer text, a book say, becomes several samples.
const LONG_WORDS: usize = 2_000;

/// The passage as it is stored: one sample, or several where it is long.
pub(crate) fn samples_of(profile: &ProfileId, passage: Passage, kind: SampleKind) -> Vec<Sample> {
    let title = passage
        .title
        .filter(|t| !t.trim().is_empty())
        .unwrap_or_else(|| first_words(&passage.text));
    let removed = match kind {
        SampleKind::Email | SampleKind::Chat => without_words(passage.removed),
        _ => own_removals(passage.removed),
    };
    let sections = chunk::sections(&passage.text, LONG_WORDS);
    let of = sections.len();
    let part = |(i, (text, removed)): (usize, (String, Vec<Removal>))| {
        let mut sample = Sample {
            id: SampleId(String::new()),
            profile: profile.clone(),
            kind,
            title: match of {
                1 => title.clone(),
                _ => format!("{title} ({} of {of})", i + 1),
            },
            text,
            // Whoever asked did not agree to be kept: only the person's own words are stored.
            prompt: None,
            words: 0,
            language: String::new(),
            written_at: passage.date.clone(),
            added_at: String::new(),
            removed,
            note: String::new(),
        };
        annotate(&mut sample);
        sample
    };
    let parts = match of {
        1 => vec![(passage.text, removed)],
        _ => parts(&passage.text, &sections, removed),
    };
    parts.into_iter().enumerate().map(part).collect()
}

/// Counts words, guesses the language and notes what to know about the text as it is now.
pub(crate) fn annotate(sample: &mut Sample) {
    sample.words = count(features::measure(&sample.text).words);
    let guess = language::guess(&sample.text);
    sample.language = guess.code.to_owned();
    sample.note = if !language::counts_as_english(&guess) {
        "Not in English: kept, but what is counted for English does not count it.".to_owned()
    } else if sample.words < SHORT_WORDS {
        format!(
            "Short: about {} more words would say more.",
            SHORT_WORDS - sample.words
        )
    } else {
        String::new()
    };
}

/// The texts of the sections, each with the removals that stood in it.
fn parts(text: &str, sections: &[Span], removed: Vec<Removal>) -> Vec<(String, Vec<Removal>)> {
    let mut removed = removed.into_iter().peekable();
    // How much was cut of the whole text before the place now looked at.
    let mut cut = 0;
    let mut out = Vec::with_capacity(sections.len());
    for (i, section) in sections.iter().enumerate() {
        let is_last = i + 1 == sections.len();
        let (mut here, mut cut_here) = (Vec::new(), 0);
        while let Some(next) =
            removed.next_if(|r| is_last || r.start.saturating_sub(cut) < section.end)
        {
            let length = next.end - next.start;
            let at = next.start.saturating_sub(cut + section.start) + cut_here;
            here.push(Removal {
                start: at,
                end: at + length,
                ..next
            });
            cut += length;
            cut_here += length;
        }
        out.push((section.quote(text).to_owned(), here));
    }
    out
}

/// What was cut from mail and chats is nobody's to keep: its kind, place and length stay, no word of it does.
fn without_words(removed: Vec<Removal>) -> Vec<Removal> {
    let wordless = |removal| Removal {
        text: String::new(),
        ..removal
    };
    removed.into_iter().map(wordless).collect()
}

/// What was cut of the person's own; other people's words are dropped for good, and the places of the rest
/// are those in the text without them.
fn own_removals(removed: Vec<Removal>) -> Vec<Removal> {
    let mut gone = 0;
    let mut own = Vec::new();
    for mut removal in removed {
        match removal.kind {
            RemovalKind::QuotedReply | RemovalKind::Forwarded => {
                gone += removal.end - removal.start
            }
            RemovalKind::Signature | RemovalKind::Boilerplate | RemovalKind::NotProse => {
                removal.start -= gone;
                removal.end -= gone;
                own.push(removal);
            }
        }
    }
    own
}

fn first_words(text: &str) -> String {
    let line = text
        .lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("")
        .trim();
    let mut title: String = line.chars().take(70).collect();
    if line.chars().count() > 70 {
        title.push('…');
    }
    title
}

/// Counts that no file of ours reaches are shown as the largest number.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use idiolect_files::FileKind;
    use idiolect_text::clean;

    use super::*;

    fn cut(text: &str, kind: RemovalKind, start: usize, end: usize) -> Removal {
        Removal {
            kind,
            start,
            end,
            text: text[start..end].to_owned(),
        }
    }

    fn passage(text: &str, removed: Vec<Removal>) -> Passage {
        Passage {
            text: text.to_owned(),
            title: Some("The wall".to_owned()),
            author: None,
            date: None,
            prompt: Some("What about the wall?".to_owned()),
            removed,
            kind: FileKind::Pasted,
        }
    }

    #[test]
    fn other_people_s_words_are_not_stored_and_one_s_own_still_go_back() {
        let text = "Hello.\n> their words\nBye.\n-- \nMe";
        let kept = own_removals(vec![
            cut(text, RemovalKind::QuotedReply, 7, 21),
            cut(text, RemovalKind::Signature, 26, 32),
        ]);
        assert_eq!(kept.len(), 1, "the quoted reply is dropped");
        assert_eq!(
            (kept[0].start, kept[0].end),
            (12, 18),
            "its length no longer counts"
        );
        let cleaned = clean::Cleaned {
            text: "Hello.\nBye.\n".to_owned(),
            removed: kept,
        };
        assert_eq!(clean::put_back(&cleaned), "Hello.\nBye.\n-- \nMe");
    }

    #[test]
    fn of_what_was_cut_from_mail_no_word_is_kept() {
        let text = "Hello.\n> their words\nBye.\n-- \nMe";
        let removed = vec![
            cut(text, RemovalKind::QuotedReply, 7, 21),
            cut(text, RemovalKind::Signature, 26, 32),
        ];
        for kind in [SampleKind::Email, SampleKind::Chat] {
            let samples = samples_of(
                &ProfileId::from("p"),
                passage("Hello.\nBye.\n", removed.clone()),
                kind,
            );
            let shape: Vec<_> = samples[0]
                .removed
                .iter()
                .map(|r| (r.kind, r.end - r.start, r.text.as_str()))
                .collect();
            assert_eq!(
                shape,
                [
                    (RemovalKind::QuotedReply, 14, ""),
                    (RemovalKind::Signature, 6, "")
                ]
            );
            assert_eq!(samples[0].prompt, None, "nor what was asked");
        }
    }

    #[test]
    fn a_book_becomes_several_samples_and_what_was_cut_stays_where_it_stood() {
        let paragraph = "And so we walked a little further. ".repeat(20);
        let mut book = String::new();
        for chapter in 0..60 {
            book.push_str(&format!("Chapter {chapter}. {}\n\n", paragraph.trim()));
            if chapter % 20 == 10 {
                book.push_str("```\ncode\n```\n\n");
            }
        }
        let cleaned = clean::own_words(&book);
        assert_eq!(cleaned.removed.len(), 3);
        let samples = samples_of(
            &ProfileId::from("p"),
            passage(&cleaned.text, cleaned.removed),
            SampleKind::Document,
        );
        assert_eq!(samples.len(), 5, "8,520 words, at most 2,000 each");
        assert_eq!(samples[1].title, "The wall (2 of 5)");
        let whole: Vec<String> = samples
            .iter()
            .map(|s| {
                assert!(
                    s.words as usize <= LONG_WORDS && s.words > 1_000,
                    "{}",
                    s.words
                );
                clean::put_back(&clean::Cleaned {
                    text: s.text.clone(),
                    removed: s.removed.clone(),
                })
            })
            .collect();
        let put_back: usize = samples.iter().map(|s| s.removed.len()).sum();
        assert_eq!(put_back, 3);
        assert_eq!(whole.concat(), book, "nothing is lost or moved");
    }
}
