//! Which texts of which authors a run reads, and which of them are held out.
//!
//! The rule is the corpus's own split where it has one; cmcc21, whose authors all write on the same topics, leaves a topic
//! out; any other corpus is cut into seeded random halves.

use std::collections::{BTreeMap, BTreeSet};

use idiolect_core::UserError;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::data::CorpusText;
use crate::errors::not_enough;

/// Random halvings averaged over.
const HALVINGS: usize = 20;
/// Texts of a writer at most, whatever is asked.
const MOST_TEXTS: usize = 120;
/// Authors below which nothing can be said about a difference between authors.
const LEAST_AUTHORS: usize = 3;

/// How texts are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The file says which are for training.
    Own,
    /// Every author has the same cells of genre and topic; a topic is held out.
    LeaveTopicOut,
    /// Seeded random halves.
    RandomHalf,
}

/// For each author the numbers of the texts that make the profile, and of those that are unseen.
pub(super) type Split = Vec<(Vec<usize>, Vec<usize>)>;

/// The authors of a run with the texts that are read.
pub(super) struct Cohort {
    pub(super) rule: Rule,
    /// Texts by author, authors in order of name.
    pub(super) texts: Vec<Vec<CorpusText>>,
}

impl Cohort {
    /// `most` texts an author at most, `limit` authors at most.
    pub(super) fn of(
        corpus: &str,
        authors: BTreeMap<String, Vec<CorpusText>>,
        limit: Option<u32>,
        most: usize,
        seed: u64,
    ) -> Result<Self, UserError> {
        let every = |f: fn(&CorpusText) -> bool| authors.values().flatten().all(f);
        let rule = if every(|t| t.split.is_some()) {
            Rule::Own
        } else if corpus == "cmcc21" && every(|t| t.topic.is_some()) {
            Rule::LeaveTopicOut
        } else {
            Rule::RandomHalf
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut authors: Vec<Vec<CorpusText>> = authors
            .into_values()
            .filter(|texts| enough(rule, texts))
            .collect();
        if let Some(limit) = limit.map(|l| l as usize).filter(|l| *l < authors.len()) {
            let mut keep: Vec<usize> = (0..authors.len()).collect();
            keep.shuffle(&mut random);
            keep.truncate(limit);
            let mut number = 0..;
            authors.retain(|_| number.next().is_some_and(|n: usize| keep.contains(&n)));
        }
        if authors.len() < LEAST_AUTHORS {
            return Err(not_enough(
                format!(
                    "Only {} authors have texts on both sides; a comparison needs {LEAST_AUTHORS}.",
                    authors.len()
                ),
                "Choose a larger corpus or a higher --limit (for a corpus, it counts authors).",
            ));
        }
        for texts in &mut authors {
            texts.sort_by(|a, b| a.id.cmp(&b.id));
        }
        let most = most.min(MOST_TEXTS);
        let texts = match rule {
            Rule::LeaveTopicOut => same_cells(authors, most, &mut random)?,
            Rule::Own => authors
                .into_iter()
                .map(|texts| both_sides(texts, most, &mut random))
                .collect(),
            Rule::RandomHalf => authors
                .into_iter()
                .map(|texts| some(texts, most, &mut random))
                .collect(),
        };
        Ok(Self { rule, texts })
    }

    /// How profiles are tested on unseen texts: one split, one a topic, or several random halves.
    pub(super) fn splits(&self, seed: u64) -> Vec<Split> {
        match self.rule {
            Rule::LeaveTopicOut => self
                .topics()
                .iter()
                .map(|topic| self.by(|t| t.topic.as_ref() != Some(topic)))
                .collect(),
            _ => self.halvings(seed),
        }
    }

    /// How a writer's texts are cut in two for reliability: no topic lies on both sides where topics are held out, and all
    /// authors are cut alike, so that what a topic does to everyone cancels.
    pub(super) fn halvings(&self, seed: u64) -> Vec<Split> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        match self.rule {
            Rule::Own => vec![self.by(is_training)],
            Rule::LeaveTopicOut => {
                let mut topics = self.topics();
                (0..HALVINGS)
                    .map(|_| {
                        topics.shuffle(&mut random);
                        let first = &topics[..topics.len() / 2];
                        self.by(|t| t.topic.as_ref().is_some_and(|t| first.contains(t)))
                    })
                    .collect()
            }
            Rule::RandomHalf => (0..HALVINGS)
                .map(|_| {
                    self.texts
                        .iter()
                        .map(|texts| {
                            let mut order: Vec<usize> = (0..texts.len()).collect();
                            order.shuffle(&mut random);
                            let unseen = order.split_off(texts.len() / 2);
                            (order, unseen)
                        })
                        .collect()
                })
                .collect(),
        }
    }

    /// (author, text) numbers in strata within which texts may change hands in the control: the same cell, the same side.
    pub(super) fn strata(&self) -> Vec<Vec<(usize, usize)>> {
        let mut strata: BTreeMap<[&str; 2], Vec<(usize, usize)>> = BTreeMap::new();
        for (a, texts) in self.texts.iter().enumerate() {
            for (t, text) in texts.iter().enumerate() {
                let key = match self.rule {
                    Rule::Own if is_training(text) => ["train", ""],
                    Rule::Own => ["test", ""],
                    Rule::LeaveTopicOut => [genre(text), topic(text)],
                    Rule::RandomHalf => [""; 2],
                };
                strata.entry(key).or_default().push((a, t));
            }
        }
        strata.into_values().collect()
    }

    /// What the rule means, for a note.
    pub(super) fn words(&self) -> String {
        match self.rule {
            Rule::Own => "Held out: the file's own test split.".to_owned(),
            Rule::LeaveTopicOut => format!(
                "Held out: one of {} topics at a time for the margin, half of the topics at a time for reliability ({HALVINGS} seeded halvings); every author has texts of the same cells of genre and topic.",
                self.topics().len()
            ),
            Rule::RandomHalf => {
                format!("Held out: a seeded random half of each author's texts, {HALVINGS} times.")
            }
        }
    }

    fn by(&self, in_profile: impl Fn(&CorpusText) -> bool) -> Split {
        self.texts
            .iter()
            .map(|texts| (0..texts.len()).partition(|&t| in_profile(&texts[t])))
            .collect()
    }

    fn topics(&self) -> Vec<String> {
        let topics: BTreeSet<String> = self
            .texts
            .iter()
            .flatten()
            .filter_map(|t| t.topic.clone())
            .collect();
        topics.into_iter().collect()
    }
}

fn is_training(text: &CorpusText) -> bool {
    text.split.as_deref() == Some("train")
}

fn topic(text: &CorpusText) -> &str {
    text.topic.as_deref().unwrap_or_default()
}

fn genre(text: &CorpusText) -> &str {
    text.genre.as_deref().unwrap_or_default()
}

/// Whether an author has texts for both sides.
fn enough(rule: Rule, texts: &[CorpusText]) -> bool {
    match rule {
        Rule::Own => texts.iter().any(is_training) && !texts.iter().all(is_training),
        Rule::LeaveTopicOut => texts.iter().any(|t| t.topic != texts[0].topic),
        Rule::RandomHalf => texts.len() >= 2,
    }
}

/// A seeded choice in the old order.
fn some(mut texts: Vec<CorpusText>, most: usize, random: &mut ChaCha8Rng) -> Vec<CorpusText> {
    texts.shuffle(random);
    texts.truncate(most);
    texts.sort_by(|a, b| a.id.cmp(&b.id));
    texts
}

/// Half of `most` from each side of the file's own split.
fn both_sides(texts: Vec<CorpusText>, most: usize, random: &mut ChaCha8Rng) -> Vec<CorpusText> {
    let (training, test) = texts.into_iter().partition(is_training);
    let mut out = some(training, most.div_ceil(2), random);
    out.extend(some(test, most / 2, random));
    out
}

/// The same seeded cells of every author, spread over topics first and genres next: what was written about, and in which
/// genre, must not tell authors apart.
fn same_cells(
    authors: Vec<Vec<CorpusText>>,
    most: usize,
    random: &mut ChaCha8Rng,
) -> Result<Vec<Vec<CorpusText>>, UserError> {
    let cell = |t: &CorpusText| (topic(t).to_owned(), genre(t).to_owned());
    let mut shared: BTreeSet<(String, String)> = authors[0].iter().map(cell).collect();
    for texts in &authors {
        let own: BTreeSet<_> = texts.iter().map(cell).collect();
        shared.retain(|c| own.contains(c));
    }
    let mut left: Vec<(String, String)> = shared.into_iter().collect();
    left.shuffle(random);
    let mut chosen: Vec<(String, String)> = Vec::new();
    while chosen.len() < most && !left.is_empty() {
        let used = |c: &(String, String)| {
            let topics = chosen.iter().filter(|x| x.0 == c.0).count();
            (topics, chosen.iter().filter(|x| x.1 == c.1).count())
        };
        let next = (0..left.len()).min_by_key(|&i| used(&left[i])).unwrap_or(0);
        chosen.push(left.remove(next));
    }
    let topics: BTreeSet<&String> = chosen.iter().map(|(topic, _)| topic).collect();
    if topics.len() < 2 {
        return Err(not_enough(
            "These authors share texts of fewer than two topics, so no topic can be left out.",
            "Raise --texts, or use a corpus whose authors write on the same topics.",
        ));
    }
    chosen.sort();
    Ok(authors
        .into_iter()
        .map(|texts| {
            chosen
                .iter()
                .filter_map(|c| texts.iter().find(|t| cell(t) == *c).cloned())
                .collect()
        })
        .collect())
}
