//! Which texts an author's adapter learns from, and which it is measured on.
//!
//! cmcc21, whose authors all write on the same topics, is cut by topic; any other corpus by seeded halves of whole texts.
//! Mails (a corpus in which any text has a subject) lose greeting, sign-off and echoes of the subject, which name people,
//! and are bundled.

use std::collections::{BTreeMap, BTreeSet};

use idiolect_core::UserError;
use idiolect_text::{chunk, clean, segment};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::data::CorpusText;
use crate::errors::not_enough;

/// Words an author trains on, about: what is asked of a person too.
pub(super) const WORDS: usize = 2500;
/// Words of one text among them, so that they are not all from one.
const WORDS_A_TEXT: usize = 600;
/// Words of a passage.
const PASSAGE: usize = 120;
/// Shorter ones say too little.
const FEWEST_PASSAGE: usize = 20;
/// An author with fewer words to train on is left out.
const FEWEST_WORDS: usize = 600;
/// Or with fewer held-out texts.
const FEWEST_HELD_OUT: usize = 3;
/// Words of a bundle of mails at least.
const BUNDLE: usize = 150;
/// A shorter mail is a formula.
const FEWEST_MAIL: usize = 20;
/// Authors below which nothing can be said about a difference between authors.
const FEWEST_AUTHORS: usize = 3;
/// Genres of cmcc21 that are written alone.
const WRITTEN: [&str; 3] = ["blogs", "emails", "essays"];
/// What cmcc21 calls its topics.
const TOPICS: [(&str, &str); 6] = [
    ("C", "the Catholic church"),
    ("G", "gay marriage"),
    ("I", "the war in Iraq"),
    ("M", "the legalization of marijuana"),
    ("P", "privacy rights"),
    ("S", "sex discrimination"),
];

/// A text cut into passages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub(super) passages: Vec<String>,
    pub(super) subject: Option<String>,
}

/// An author with both sides, each in seeded order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Author {
    pub(super) name: String,
    pub(super) train: Vec<Text>,
    pub(super) held_out: Vec<Text>,
}

/// The authors of a run.
#[derive(Debug, PartialEq)]
pub(super) struct Texts {
    pub(super) authors: Vec<Author>,
    /// Too little text, with what they had.
    left_out: Vec<String>,
    rule: String,
}

/// A whole text before it is cut.
#[derive(Debug, Clone, PartialEq)]
struct Whole {
    text: String,
    subject: Option<String>,
    topic: Option<String>,
}

/// `limit` authors at most, `passages` held-out passages of each at most.
pub(super) fn of(
    corpus: &str,
    authors: BTreeMap<String, Vec<CorpusText>>,
    limit: Option<u32>,
    passages: usize,
    seed: u64,
) -> Result<Texts, UserError> {
    let mut texts = authors.values().flatten();
    let by_topic = corpus == "cmcc21" && texts.clone().all(|t| t.topic.is_some());
    // Many mails have none.
    let mails = texts.any(|t| t.subject.is_some());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let held_topics = by_topic.then(|| {
        let topics: BTreeSet<&str> = authors
            .values()
            .flatten()
            .filter_map(|t| t.topic.as_deref())
            .collect();
        let mut topics: Vec<String> = topics.into_iter().map(str::to_owned).collect();
        topics.shuffle(&mut random);
        let mut held = topics.split_off(topics.len() / 2);
        held.sort();
        held
    });
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (name, mut texts) in authors {
        texts.sort_by(|a, b| a.id.cmp(&b.id));
        let whole = if mails {
            bundles(&texts)
        } else {
            texts
                .iter()
                .filter(|t| !by_topic || is_written(t))
                .map(whole)
                .collect()
        };
        let whole = without_twins(whole);
        let author = sides(name, whole, held_topics.as_deref(), passages, &mut random);
        let words: usize = author.train.iter().map(words_of).sum();
        if words < FEWEST_WORDS || author.held_out.len() < FEWEST_HELD_OUT {
            left_out.push(format!(
                "{} ({words} words, {} texts held out)",
                author.name,
                author.held_out.len()
            ));
        } else {
            found.push(author);
        }
    }
    if let Some(limit) = limit.map(|l| l as usize).filter(|l| *l < found.len()) {
        found.shuffle(&mut random);
        found.truncate(limit);
        found.sort_by(|a, b| a.name.cmp(&b.name));
    }
    if found.len() < FEWEST_AUTHORS {
        return Err(not_enough(
            format!(
                "Only {} authors have {FEWEST_WORDS} words to train on and {FEWEST_HELD_OUT} texts to measure on; a comparison needs {FEWEST_AUTHORS}.",
                found.len()
            ),
            "Choose a larger corpus or a higher --limit (for a corpus, it counts authors).",
        ));
    }
    let rule = match held_topics {
        Some(held) => format!(
            "blogs, emails and essays; topics {} are held out",
            held.join(", ")
        ),
        None if mails => format!(
            "mails without greetings, sign-offs and echoes of the subject, those of at least {FEWEST_MAIL} words bundled to at least {BUNDLE}; a seeded half of the bundles is held out"
        ),
        None => "a seeded half of the texts is held out, whole ones".to_owned(),
    };
    Ok(Texts {
        authors: found,
        left_out,
        rule,
    })
}

impl Texts {
    /// The rule in words, and who is left out.
    pub(super) fn words(&self) -> String {
        let left_out = if self.left_out.is_empty() {
            "nobody".to_owned()
        } else {
            self.left_out.join(", ")
        };
        let held: usize = self.authors.iter().map(|a| a.held_out.len()).sum();
        format!(
            "Texts: {}. Each author trains on at most about {WORDS} words, at most {WORDS_A_TEXT} of one text, in passages of {PASSAGE}; {held} texts of {} authors are measured. Left out for too little text: {left_out}.",
            self.rule,
            self.authors.len()
        )
    }
}

fn is_written(text: &CorpusText) -> bool {
    text.genre.as_deref().is_none_or(|g| WRITTEN.contains(&g))
}

fn whole(text: &CorpusText) -> Whole {
    let topic = text.topic.as_deref();
    let named = TOPICS.iter().find(|(letter, _)| Some(*letter) == topic);
    Whole {
        text: text.text.clone(),
        subject: named
            .map(|(_, words)| (*words).to_owned())
            .or_else(|| text.src.as_deref().and_then(subject_of_path)),
        topic: text.topic.clone(),
    }
}

/// What a file's name says about a post: `_posts/2011-02-28-Some-title.html` is about "Some title".
fn subject_of_path(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', ':']).collect();
    let file = parts.last()?.split('.').next()?;
    let name = if file == "index" {
        parts.get(parts.len().checked_sub(2)?)?
    } else {
        file
    };
    let words: Vec<&str> = name
        .split(['-', '_'])
        .skip_while(|w| w.chars().all(|c| c.is_ascii_digit()))
        .filter(|w| !w.is_empty())
        .collect();
    (words.len() > 1).then(|| words.join(" "))
}

/// Neighbouring mails together until they have enough words; what is left at the end joins the last bundle.
fn bundles(mails: &[CorpusText]) -> Vec<Whole> {
    let mut bundles: Vec<Whole> = Vec::new();
    let mut open: Option<(Vec<String>, Vec<String>)> = None;
    for mail in mails {
        let subject = mail.subject.as_deref().map_or("", bare_subject);
        let body = body(&mail.text, subject);
        if segment::word_count(&body) < FEWEST_MAIL {
            continue;
        }
        let (texts, subjects) = open.get_or_insert_with(Default::default);
        texts.push(body);
        if !subject.is_empty() && !subjects.iter().any(|s| s == subject) {
            subjects.push(subject.to_owned());
        }
        if texts.iter().map(|t| segment::word_count(t)).sum::<usize>() >= BUNDLE {
            let (texts, subjects) = open.take().unwrap_or_default();
            bundles.push(Whole {
                text: texts.join("\n\n"),
                subject: (!subjects.is_empty()).then(|| subjects.join("; ")),
                topic: None,
            });
        }
    }
    if let (Some((texts, _)), Some(last)) = (open, bundles.last_mut()) {
        last.text = format!("{}\n\n{}", last.text, texts.join("\n\n"));
    }
    bundles
}

fn bare_subject(subject: &str) -> &str {
    let mut bare = subject.trim();
    while let Some((before, after)) = bare.split_once(':') {
        if !["re", "fw", "fwd", "aw"].contains(&before.trim().to_lowercase().as_str()) {
            break;
        }
        bare = after.trim();
    }
    bare
}

/// A mail between greeting and sign-off, without lines that repeat its subject.
fn body(mail: &str, subject: &str) -> String {
    let body = clean::parts(mail).body.quote(mail);
    let lines: Vec<&str> = body
        .lines()
        .filter(|line| subject.is_empty() || !bare_subject(line).eq_ignore_ascii_case(subject))
        .collect();
    lines.join("\n").trim().to_owned()
}

fn without_twins(texts: Vec<Whole>) -> Vec<Whole> {
    let all: Vec<&str> = texts.iter().map(|t| t.text.as_str()).collect();
    let twins = chunk::near_duplicates(&all);
    let kept = texts.into_iter().zip(twins);
    kept.filter_map(|(text, twin)| twin.is_none().then_some(text))
        .collect()
}

/// Cuts an author's texts in two, and each text into passages.
fn sides(
    name: String,
    mut texts: Vec<Whole>,
    held_topics: Option<&[String]>,
    passages: usize,
    random: &mut ChaCha8Rng,
) -> Author {
    texts.shuffle(random);
    let (train, held_out): (Vec<Whole>, Vec<Whole>) = match held_topics {
        Some(held) => texts
            .into_iter()
            .partition(|t| t.topic.as_ref().is_none_or(|topic| !held.contains(topic))),
        None => {
            let held = texts.split_off(texts.len().div_ceil(2));
            (texts, held)
        }
    };
    let mut chosen: Vec<Text> = Vec::new();
    let mut words = 0;
    for text in &train {
        if words >= WORDS {
            break;
        }
        let text = cut(text, WORDS_A_TEXT.min(WORDS - words));
        words += words_of(&text);
        if !text.passages.is_empty() {
            chosen.push(text);
        }
    }
    // One passage of each text first.
    let all: Vec<Text> = held_out.iter().map(|t| cut(t, usize::MAX)).collect();
    let mut measured: Vec<Text> = all
        .iter()
        .map(|t| Text {
            passages: Vec::new(),
            subject: t.subject.clone(),
        })
        .collect();
    let (mut taken, mut round) = (0, 0);
    while taken < passages && all.iter().any(|t| t.passages.len() > round) {
        for (text, from) in measured.iter_mut().zip(&all) {
            if let Some(passage) = from.passages.get(round).filter(|_| taken < passages) {
                text.passages.push(passage.clone());
                taken += 1;
            }
        }
        round += 1;
    }
    measured.retain(|t| !t.passages.is_empty());
    Author {
        name,
        train: chosen,
        held_out: measured,
    }
}

/// Passages of a text until they have `most` words.
fn cut(whole: &Whole, most: usize) -> Text {
    let mut words = 0;
    let passages = chunk::chunks(&whole.text, PASSAGE)
        .into_iter()
        .map(|span| span.quote(&whole.text).trim().to_owned())
        .filter(|passage| segment::word_count(passage) >= FEWEST_PASSAGE)
        .take_while(|passage| {
            let before = words;
            words += segment::word_count(passage);
            before < most
        })
        .collect();
    Text {
        passages,
        subject: whole.subject.clone(),
    }
}

fn words_of(text: &Text) -> usize {
    text.passages.iter().map(|p| segment::word_count(p)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten invented words, others for every number: numerals are no words, so they would leave copies behind.
    fn sentence(i: usize) -> String {
        const SYLLABLES: [&str; 8] = ["ka", "lo", "mi", "tu", "re", "sa", "po", "vi"];
        let mut state = i as u64 + 1;
        let mut word = || -> String {
            (0..3)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    SYLLABLES[(state >> 60) as usize % SYLLABLES.len()]
                })
                .collect()
        };
        let words: Vec<String> = (0..10).map(|_| word()).collect();
        format!("A{}. ", words.join(" "))
    }

    fn text(author: &str, id: usize, words: usize) -> CorpusText {
        let mut text = String::new();
        let mut n = 0;
        while segment::word_count(&text) < words {
            text += &sentence(id * 1000 + n);
            n += 1;
        }
        CorpusText {
            author: author.to_owned(),
            id: format!("t{id:03}"),
            text,
            split: None,
            genre: None,
            topic: None,
            subject: None,
            src: None,
        }
    }

    fn corpus(
        authors: &[(&str, usize)],
        bend: impl Fn(usize, &mut CorpusText),
    ) -> BTreeMap<String, Vec<CorpusText>> {
        let mut all: BTreeMap<String, Vec<CorpusText>> = BTreeMap::new();
        for (a, (name, texts)) in authors.iter().enumerate() {
            for i in 0..*texts {
                let mut text = text(name, a * 100 + i, 300);
                bend(i, &mut text);
                all.entry((*name).to_owned()).or_default().push(text);
            }
        }
        all
    }

    #[test]
    fn whole_texts_lie_on_one_side_and_little_text_is_left_out_by_name() {
        let all = corpus(
            &[("ann", 12), ("ben", 12), ("cid", 12), ("dot", 3)],
            |_, _| {},
        );
        let made = of("other", all.clone(), None, 12, 5).unwrap();
        assert_eq!(
            made,
            of("other", all.clone(), None, 12, 5).unwrap(),
            "seeded"
        );
        let names: Vec<&str> = made.authors.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["ann", "ben", "cid"]);
        assert!(made.words().contains("dot ("), "{}", made.words());
        for author in &made.authors {
            assert!(author.train.iter().map(words_of).sum::<usize>() <= WORDS + PASSAGE * 2);
            let taken: usize = author.held_out.iter().map(|t| t.passages.len()).sum();
            assert_eq!(
                (author.held_out.len(), taken),
                (6, 12),
                "one passage of each text first"
            );
            for held in author.held_out.iter().flat_map(|t| &t.passages) {
                assert!(!author.train.iter().any(|t| t.passages.contains(held)));
            }
        }
        assert!(
            of("other", all, Some(2), 12, 5).is_err(),
            "two authors are no comparison"
        );
    }

    #[test]
    fn no_topic_of_cmcc21_is_on_both_sides() {
        let all = corpus(&[("ann", 12), ("ben", 12), ("cid", 12)], |i, text| {
            text.topic = Some(["C", "G", "I", "M"][i % 4].to_owned());
            text.genre = Some(["blogs", "chat", "essays"][i % 3].to_owned());
        });
        let made = of("cmcc21", all, None, 12, 1).unwrap();
        for author in &made.authors {
            let subjects = |texts: &[Text]| -> BTreeSet<String> {
                texts.iter().filter_map(|t| t.subject.clone()).collect()
            };
            let (train, held) = (subjects(&author.train), subjects(&author.held_out));
            assert_eq!((train.len(), held.len()), (2, 2));
            assert!(train.is_disjoint(&held));
            assert_eq!(author.train.len() + author.held_out.len(), 8, "no chats");
        }
    }

    #[test]
    fn mails_lose_names_and_echoes_and_are_bundled() {
        let mail = |i: usize| CorpusText {
            subject: Some("Re: The boat".to_owned()),
            text: format!(
                "Dear Ann,\n\nThe boat\n{}\nBest regards,\nBen\n",
                (0..5).map(|n| sentence(i * 10 + n)).collect::<String>()
            ),
            ..text("ben", i, 1)
        };
        let mails: Vec<CorpusText> = (0..9).map(mail).collect();
        let made = bundles(&mails);
        assert!(made.len() >= 3, "{}", made.len());
        for bundle in &made {
            assert!(segment::word_count(&bundle.text) >= BUNDLE);
            assert_eq!(bundle.subject.as_deref(), Some("The boat"));
            for gone in ["Dear", "Ann", "Best", "Ben", "The boat\n"] {
                assert!(!bundle.text.contains(gone), "{gone}: {}", bundle.text);
            }
        }
        assert!(bundles(&[text("ben", 1, 1)]).is_empty());
    }

    #[test]
    fn mails_are_mails_though_many_have_no_subject() {
        let all = corpus(&[("ann", 12), ("ben", 12), ("cid", 12)], |i, mail| {
            mail.subject = (i % 3 == 0).then(|| "The boat".to_owned());
            mail.text = format!("Dear Zoe,\n\n{}\n\nBest regards,\nBen\n", mail.text.trim());
        });
        let made = of("other", all, None, 12, 5).unwrap();
        assert!(made.words().contains("bundled"), "{}", made.words());
        for text in made
            .authors
            .iter()
            .flat_map(|a| a.train.iter().chain(&a.held_out))
        {
            assert!(!text.passages.iter().any(|p| p.contains("Zoe")));
        }
    }

    #[test]
    fn a_path_names_its_subject() {
        let subject = |path| subject_of_path(path);
        assert_eq!(
            subject("a:_posts/2011-02-28-Some-title.html").unwrap(),
            "Some title"
        );
        assert_eq!(
            subject("a/b:content/plex-ps4/index.md").unwrap(),
            "plex ps4"
        );
        assert_eq!(subject("a:one.md"), None, "a word is no subject");
    }
}
