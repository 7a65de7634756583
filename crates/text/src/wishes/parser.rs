//! One pass over the words. A cue ("love", "can't stand") opens a clause that runs to the next cue or boundary; negators in
//! front of a cue turn it, those inside a clause turn the rest of it.

use super::{Unit, Wishes, cues, has_content, longest, units};

/// Words that may stand between a negator and the cue it turns.
const REACH: usize = 3;

/// A word of the clause being read, or the place between two members of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    Joint,
}

impl Piece {
    fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Joint => None,
        }
    }
}

#[derive(Default)]
struct Parser {
    units: Vec<Unit>,
    found: Wishes,
    /// Whether the sentence's main clause wants what it names; `None` before any cue.
    wants: Option<bool>,
    /// Whether the clause being read is wanted; `None` before any cue: then it is.
    sign: Option<bool>,
    /// A cue was just read and nothing since, so that the next one turns it: "prefer to avoid".
    fresh: bool,
    /// The text was not written to say what is wanted: only what a cue or a verdict speaks for is kept, and lists whole.
    sure: bool,
    clause: Vec<Piece>,
}

pub(super) fn read(statement: &str, sure: bool) -> Wishes {
    let mut parser = Parser {
        units: units(statement),
        sure,
        ..Parser::default()
    };
    let mut at = 0;
    while at < parser.units.len() {
        at += parser.step(at);
    }
    parser.end_clause();
    parser.found
}

impl Parser {
    fn text(&self, at: usize) -> &str {
        self.units.get(at).map_or("", |unit| unit.text.as_str())
    }

    /// Reads what begins at `at`; the number of words it took.
    fn step(&mut self, at: usize) -> usize {
        let word = self.text(at).to_owned();
        if matches!(word.as_str(), "." | ";" | "!" | "?" | ":") {
            self.end_clause();
            (self.wants, self.fresh) = (None, false);
            return 1;
        }
        if cues::CONDITIONS.contains(&word.as_str())
            && !matches!(self.text(at + 1), "to" | "of" | "towards")
        {
            (self.wants, self.sign) = (Some(false), Some(false));
            self.end_clause();
            return 1;
        }
        if let Some((length, wanting)) = self.cue(at) {
            if !self.describes(at) {
                self.take_cue(wanting);
                return length;
            }
            if !wanting {
                self.end_clause();
                self.sign = self.wants.map(|wants| !wants);
                return length;
            }
        }
        let length = self.turn(at);
        if length > 0 {
            return length;
        }
        if word == "," || cues::TURNS.contains(&word.as_str()) {
            self.end_clause();
            self.fresh = false;
            if word != "," && self.wants.is_some() {
                self.sign = self.wants;
            }
        } else if cues::JOINTS.contains(&word.as_str()) {
            self.clause.push(Piece::Joint);
            self.fresh = false;
        } else if !self.units[at].is_mark {
            self.clause.push(Piece::Word(word));
        }
        1
    }

    /// The cue that begins here: its words, and whether it wants what follows.
    fn cue(&self, at: usize) -> Option<(usize, bool)> {
        let before = at.checked_sub(1).map_or("", |i| self.text(i));
        let is_cue = match self.text(at) {
            "rather" => self.text(at + 1) != "than",
            // "I'm into chess", but not "I moved into a flat".
            "into" => matches!(before, "am" | "i'm" | "we're" | "not" | "really" | "very"),
            // "Films like this one" compares, "I like" wants.
            "like" => {
                cues::NEGATORS.contains(&before)
                    || matches!(
                        before,
                        "i" | "we" | "really" | "also" | "would" | "do" | "particularly"
                    )
            }
            // "The limit", "a ban", "one stop" are things.
            "limit" | "ban" | "stop" => !matches!(before, "the" | "a" | "an" | "one" | "any"),
            _ => true,
        };
        if !is_cue {
            return None;
        }
        let wanting = longest(cues::WANTING, &self.units, at);
        let shunning = longest(cues::SHUNNING, &self.units, at)
            .max(usize::from(cues::CONDITIONS.contains(&self.text(at))));
        (wanting.max(shunning) > 0).then_some((wanting.max(shunning), wanting > shunning))
    }

    /// Whether the word at `at` is said of a thing rather than by the speaker: "places that require a suit".
    fn describes(&self, at: usize) -> bool {
        let words: Vec<&str> = self.clause.iter().filter_map(Piece::word).collect();
        let relative = words.iter().position(|w| cues::RELATIVES.contains(w));
        let of_a_thing = relative.is_some_and(|r| words[..r].iter().any(|w| has_content(w)));
        of_a_thing && self.wants.is_some() && !self.begins_anew(at)
    }

    fn take_cue(&mut self, wanting: bool) {
        let mut wants = wanting;
        while let Some(piece) = self.clause.last() {
            match piece.word() {
                Some(word) if cues::NEGATORS.contains(&word) => wants = !wants,
                Some(word) if has_content(word) && !cues::CONNECTORS.contains(&word) => break,
                _ => {}
            }
            self.clause.pop();
        }
        if self.clause.is_empty() && self.fresh && self.wants == Some(false) {
            wants = !wants;
        }
        self.end_clause();
        (self.wants, self.sign, self.fresh) = (Some(wants), Some(wants), true);
    }

    /// A negator or reverser that begins here; 0 where none does, or where it is a word like any other.
    fn turn(&mut self, at: usize) -> usize {
        let negator = usize::from(cues::NEGATORS.contains(&self.text(at)));
        let reverser = longest(cues::REVERSERS, &self.units, at);
        let length = negator.max(reverser);
        if length == 0 {
            return 0;
        }
        let turns_a_cue = negator > 0
            && (at + 1..self.units.len().min(at + 1 + REACH))
                .find(|&i| self.cue(i).is_some() || has_content(self.text(i)))
                .is_some_and(|i| self.cue(i).is_some() && self.text(i) != "only");
        if turns_a_cue {
            self.clause.push(Piece::Word(self.text(at).to_owned()));
            return length;
        }
        let Some(wants) = self.wants else {
            if negator == 0 || self.sure {
                return 0;
            }
            self.end_clause();
            (self.wants, self.sign) = (Some(false), Some(false));
            return length;
        };
        match self.text(at) {
            // "Tea over coffee", but not "avoid driving over bridges".
            "over" if !wants => return 0,
            "no" if matches!(self.text(at + 1), "more" | "less" | "fewer")
                || self.text(at + 1).ends_with("er") && self.text(at + 2) == "than" =>
            {
                return 0;
            }
            _ => {}
        }
        let words: Vec<&str> = self.clause.iter().filter_map(Piece::word).collect();
        let begun = words.iter().any(|w| has_content(w));
        let relative = words.iter().any(|w| cues::RELATIVES.contains(w));
        if self.fresh && !begun {
            // "Prefer not to …": the whole clause is turned.
            self.clause.clear();
            (self.wants, self.sign) = (Some(!wants), Some(!wants));
        } else if negator > 0 && !relative && self.begins_anew(at) {
            // "… and I don't eat meat": a clause of its own.
            self.end_clause();
            (self.wants, self.sign, self.fresh) = (Some(false), Some(false), false);
        } else {
            self.end_clause();
            (self.sign, self.fresh) = (Some(!wants), false);
        }
        length
    }

    /// Whether the word at `at` has the speaker, or nothing since the last clause, in front of it.
    fn begins_anew(&self, at: usize) -> bool {
        let before = (0..at).rev().map(|i| self.text(i));
        let mut before = before.skip_while(|w| w.ends_with("ly"));
        matches!(before.next(), None | Some("i" | "we" | "and" | "," | "so"))
    }

    /// Keeps the clause read so far.
    fn end_clause(&mut self) {
        let clause = std::mem::take(&mut self.clause);
        let any = |list: &[&str]| {
            clause
                .iter()
                .filter_map(Piece::word)
                .any(|w| list.contains(&w))
        };
        let repels = any(cues::VERDICTS) && any(cues::OFF_PUTTING);
        if self.sure && self.sign.is_none() && !repels {
            return;
        }
        let wanted = self.sign.unwrap_or(true) && !repels;
        let members: Vec<String> = clause
            .split(|piece| *piece == Piece::Joint)
            .map(|member| trimmed(&member.iter().filter_map(Piece::word).collect::<Vec<_>>()))
            .filter(|member| !member.is_empty())
            .map(|member| member.join(" "))
            .collect();
        if members.len() > 1 {
            self.found.add(wanted, members.join(" and "));
            if self.sure {
                return;
            }
        }
        for member in members {
            self.found.add(wanted, member);
        }
    }
}

/// Without the words at both ends that name nothing.
fn trimmed<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let first = words.iter().position(|w| has_content(w));
    let last = words.iter().rposition(|w| has_content(w));
    match (first, last) {
        (Some(first), Some(last)) => words[first..=last].to_vec(),
        _ => Vec::new(),
    }
}
