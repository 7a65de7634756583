//! From messages to what a front is given: the tally of who wrote how much, and the passages of the chosen people.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use idiolect_core::sample::{Removal, RemovalKind};
use idiolect_text::clean;

use crate::item::{Item, Message};
use crate::{Choice, Counts, FileKind, ImportError, Limits, Participant, Passage, Sink};

/// Counts who wrote how much, for [`scan`](crate::scan).
pub(crate) struct Tally {
    people: HashMap<String, Participant>,
    most: usize,
    pub(crate) messages: usize,
}

impl Tally {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            people: HashMap::new(),
            most: limits.max_participants,
            messages: 0,
        }
    }

    pub(crate) fn add(&mut self, item: Item) {
        let Item::Message(message) = item else { return };
        let words = words_in(&clean::own_words(&message.text).text);
        if words == 0 || message.key.is_empty() {
            return;
        }
        self.messages += 1;
        if self.people.len() >= self.most && !self.people.contains_key(&folded(&message.key)) {
            return;
        }
        let person = self
            .people
            .entry(folded(&message.key))
            .or_insert_with(|| Participant {
                key: message.key.clone(),
                display: message.display.clone(),
                messages: 0,
                words: 0,
            });
        // Mail from a program may lack the name that the person's other mail has.
        if person.display == person.key {
            person.display = message.display;
        }
        person.messages += 1;
        person.words += words;
    }

    pub(crate) fn participants(self) -> Vec<Participant> {
        let mut people: Vec<_> = self.people.into_values().collect();
        people.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.key.cmp(&b.key)));
        people
    }
}

/// Keeps the words of the chosen people, for [`read`](crate::read).
pub(crate) struct Selection<'a> {
    kind: FileKind,
    mine: HashSet<String>,
    limits: &'a Limits,
    sink: Sink<'a>,
    seen: HashSet<u64>,
    pub(crate) counts: Counts,
    conversation: Option<String>,
    /// The last message by someone else in this conversation, cut to the length of a prompt.
    asked: Option<Asked>,
    /// Messages of the person that nobody has answered yet.
    turn: Option<Turn>,
    /// Short turns of this conversation, waiting for enough others to make a usable passage.
    pool: Option<Turn>,
}

/// A message that may be answered next.
struct Asked {
    text: String,
    date: Option<String>,
}

/// Text of the person in a conversation.
struct Turn {
    passage: Passage,
    words: usize,
}

/// A turn of at least so many words stands alone, with the message that it answers.
const STANDS_ALONE_WORDS: usize = 25;

impl<'a> Selection<'a> {
    /// # Errors
    /// [`ImportError::NobodyChosen`] where the kind has participants and the choice is empty.
    pub(crate) fn new(
        kind: FileKind,
        choice: &Choice,
        limits: &'a Limits,
        sink: Sink<'a>,
    ) -> Result<Self, ImportError> {
        let mine: HashSet<_> = choice
            .mine
            .iter()
            .map(|key| folded(key))
            .filter(|key| !key.is_empty())
            .collect();
        if kind.has_participants() && mine.is_empty() {
            return Err(ImportError::NobodyChosen);
        }
        Ok(Self {
            kind,
            mine,
            limits,
            sink,
            seen: HashSet::new(),
            counts: Counts::default(),
            conversation: None,
            asked: None,
            turn: None,
            pool: None,
        })
    }

    pub(crate) fn add(&mut self, item: Item) -> Result<(), ImportError> {
        match item {
            Item::Conversation(title) => {
                self.end_conversation()?;
                self.conversation = title;
                Ok(())
            }
            Item::Message(message) if self.mine.contains(&folded(&message.key)) => {
                self.add_own(message)
            }
            Item::Message(message) => {
                self.counts.other_people += 1;
                if self.kind.is_chat() && !message.text.trim().is_empty() {
                    self.end_turn()?;
                    self.asked = Some(Asked {
                        text: cut(message.text.trim(), self.limits.max_prompt_chars),
                        date: message.date,
                    });
                }
                Ok(())
            }
        }
    }

    /// Hands over what is still waiting.
    pub(crate) fn finish(&mut self) -> Result<(), ImportError> {
        self.end_conversation()
    }

    fn add_own(&mut self, message: Message) -> Result<(), ImportError> {
        self.counts.html_only += usize::from(message.from_html);
        self.counts.attachments += message.attachments;
        let text = message.text.trim();
        if text.is_empty() {
            self.counts.empty += 1;
            return Ok(());
        }
        let cleaned = clean::own_words(text);
        let words = words_in(&cleaned.text);
        self.count_removed(&cleaned.removed);
        if words == 0 {
            self.counts.empty += 1;
            return Ok(());
        }
        let prompt = match self.kind.is_chat() {
            true => self.answered(message.date.as_deref()),
            false => quoted_message(&cleaned.removed, self.limits.max_prompt_chars),
        };
        let passage = Passage {
            text: cleaned.text,
            title: message.title.or_else(|| self.conversation.clone()),
            author: Some(message.display),
            date: message.date,
            prompt,
            removed: cleaned.removed,
            kind: self.kind,
        };
        if !self.kind.is_chat() {
            return self.hand_over(passage, words);
        }
        if let Some(turn) = &mut self.turn
            && turn.words + words <= self.limits.join_words
        {
            turn.join(passage, words, "\n");
            return Ok(());
        }
        self.end_turn()?;
        self.turn = Some(Turn { passage, words });
        Ok(())
    }

    /// The message that one of this date answers. Some services list the newest first: what is later is no prompt.
    fn answered(&self, date: Option<&str>) -> Option<String> {
        let asked = self.asked.as_ref()?;
        let later =
            matches!((asked.date.as_deref(), date), (Some(asked), Some(own)) if asked > own);
        (!later).then(|| asked.text.clone())
    }

    fn end_turn(&mut self) -> Result<(), ImportError> {
        let Some(turn) = self.turn.take() else {
            return Ok(());
        };
        if turn.words >= STANDS_ALONE_WORDS {
            return self.hand_over(turn.passage, turn.words);
        }
        match &mut self.pool {
            Some(pool) if pool.words + turn.words <= self.limits.join_words => {
                // Several answers in one passage: there is no one message that it answers.
                pool.join(turn.passage, turn.words, "\n\n");
                pool.passage.prompt = None;
                Ok(())
            }
            pool => match pool.replace(turn) {
                Some(full) => self.hand_over(full.passage, full.words),
                None => Ok(()),
            },
        }
    }

    fn end_conversation(&mut self) -> Result<(), ImportError> {
        self.end_turn()?;
        self.asked = None;
        match self.pool.take() {
            Some(pool) => self.hand_over(pool.passage, pool.words),
            None => Ok(()),
        }
    }

    fn count_removed(&mut self, removed: &[Removal]) {
        for removal in removed {
            match removal.kind {
                RemovalKind::QuotedReply | RemovalKind::Forwarded => {
                    self.counts.quoted_replies += 1
                }
                RemovalKind::Signature => self.counts.signatures += 1,
                RemovalKind::Boilerplate | RemovalKind::NotProse => self.counts.boilerplate += 1,
            }
        }
    }

    /// Hands over the one passage of a document.
    pub(crate) fn document(&mut self, passage: Passage) -> Result<(), ImportError> {
        self.count_removed(&passage.removed);
        self.hand_over(passage, usize::MAX)
    }

    fn hand_over(&mut self, passage: Passage, words: usize) -> Result<(), ImportError> {
        if words < self.limits.min_words {
            self.counts.too_short += 1;
            return Ok(());
        }
        if !self.seen.insert(likeness(&passage.text)) {
            self.counts.duplicates += 1;
            return Ok(());
        }
        if self.counts.kept >= self.limits.max_passages {
            self.counts.stopped_at_limit = true;
            return Err(ImportError::Cancelled);
        }
        self.counts.kept += 1;
        match (self.sink)(passage) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::Cancelled),
        }
    }
}

impl Turn {
    /// Appends a later message; its removals are shifted to where it now stands.
    fn join(&mut self, later: Passage, words: usize, between: &str) {
        let cut: usize = self
            .passage
            .removed
            .iter()
            .map(|removal| removal.end - removal.start)
            .sum();
        self.passage.text.push_str(between);
        let shift = self.passage.text.len() + cut;
        self.passage.text.push_str(&later.text);
        self.passage
            .removed
            .extend(later.removed.into_iter().map(|removal| Removal {
                start: removal.start + shift,
                end: removal.end + shift,
                ..removal
            }));
        self.words += words;
    }
}

/// The message that a mail answers, as far as the mail quotes it: the first quotation, one level of marks off, without
/// the line that introduces it and without what was quoted in it in turn.
fn quoted_message(removed: &[Removal], max_chars: usize) -> Option<String> {
    let quoted = removed
        .iter()
        .find(|removal| removal.kind == RemovalKind::QuotedReply)?;
    let marked = quoted.text.lines().any(|line| line.starts_with('>'));
    let lines: Vec<&str> = quoted
        .text
        .lines()
        .filter_map(|line| match (marked, line.strip_prefix('>')) {
            (false, _) => Some(line),
            (true, Some(line)) => Some(line.strip_prefix(' ').unwrap_or(line)),
            (true, None) => None,
        })
        .filter(|line| !line.starts_with('>'))
        .collect();
    let text = lines.join("\n");
    let text = text.trim();
    (marked && !text.is_empty()).then(|| cut(text, max_chars))
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

/// Keys compare without regard to case.
fn folded(key: &str) -> String {
    key.trim().to_lowercase()
}

pub(crate) fn words_in(text: &str) -> usize {
    text.split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .count()
}

/// The same for texts that differ in white space and case alone.
fn likeness(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for word in text.split_whitespace() {
        word.to_lowercase().hash(&mut hasher);
    }
    hasher.finish()
}
