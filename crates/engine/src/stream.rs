//! Tokens' bytes to text as it is written: whole characters only, nothing that may still turn out to begin a stop text.

/// What to do with a text's first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leading {
    Keep,
    /// SentencePiece writes the first word's space; it is not part of the text.
    DropSpace,
}

/// Bytes to text: whole characters only, nothing that may still turn out to begin a stop text.
#[derive(Debug)]
pub(crate) struct Stream {
    stops: Vec<String>,
    leading: Leading,
    bytes: Vec<u8>,
    /// Whole characters that are held back.
    held: String,
    /// What was handed out.
    pub(crate) told: String,
    /// Whether a stop text came.
    pub(crate) stopped: bool,
}

impl Stream {
    pub(crate) fn new(leading: Leading, stops: &[String]) -> Self {
        Self {
            stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(),
            leading,
            bytes: Vec::new(),
            held: String::new(),
            told: String::new(),
            stopped: false,
        }
    }

    /// Takes a token's bytes and gives the text that is certain now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.bytes.extend_from_slice(bytes);
        let mut rest = self.bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, broken) = rest.split_at(error.valid_up_to());
                    self.held.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(n) => {
                            self.held.push(char::REPLACEMENT_CHARACTER);
                            rest = &broken[n..];
                        }
                        None => {
                            rest = broken;
                            break;
                        }
                    }
                }
            }
        }
        self.bytes = rest.to_vec();
        if self.leading == Leading::DropSpace && !self.held.is_empty() {
            if self.held.starts_with(' ') {
                self.held.remove(0);
            }
            self.leading = Leading::Keep;
        }
        if let Some(at) = self
            .stops
            .iter()
            .filter_map(|s| self.held.find(s.as_str()))
            .min()
        {
            self.held.truncate(at);
            self.stopped = true;
            return self.tell(self.held.len());
        }
        let safe = self.held.len() - self.may_begin_stop();
        self.tell(safe)
    }

    /// Bytes at the end of the held text that a stop text may begin with.
    fn may_begin_stop(&self) -> usize {
        let begins = |stop: &String| {
            (1..stop.len())
                .rev()
                .filter(|&n| stop.is_char_boundary(n))
                .find(|&n| self.held.ends_with(&stop[..n]))
                .unwrap_or(0)
        };
        self.stops.iter().map(begins).max().unwrap_or(0)
    }

    fn tell(&mut self, length: usize) -> String {
        let rest = self.held.split_off(length);
        let now = std::mem::replace(&mut self.held, rest);
        self.told.push_str(&now);
        now
    }

    /// What was held back, when nothing follows any more. Bytes of an unfinished character are dropped.
    pub(crate) fn finish(&mut self) -> String {
        if self.stopped {
            String::new()
        } else {
            self.tell(self.held.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Stream) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut stream = Stream::new(Leading::Keep, &stops);
        let mut told: Vec<String> = pieces.iter().map(|p| stream.push(p)).collect();
        told.push(stream.finish());
        (told, stream)
    }

    #[test]
    fn only_whole_characters_are_told() {
        let (told, s) = stream(&[], &[b"a\xc3", b"\xa9b", b"\xf0\x9f\x98"]);
        assert_eq!(
            told,
            ["a", "éb", "", ""],
            "halves wait for their other half"
        );
        assert_eq!(s.told, "aéb", "what never became whole is left out");
        assert_eq!(
            stream(&[], &[b"a\xffb"]).1.told,
            "a\u{fffd}b",
            "what can never become whole is marked"
        );
    }

    #[test]
    fn stop_texts_never_show() {
        let (told, s) = stream(&["END", "\n\n"], &[b"one E", b"N", b"D two"]);
        assert_eq!(
            told,
            ["one ", "", "", ""],
            "the beginning of a stop text is held back"
        );
        assert!(s.stopped, "and it stops");
        let (told, s) = stream(&["END"], &[b"E", b"N", b"ough"]);
        assert_eq!(told, ["", "", "ENough", ""], "a false alarm is told");
        assert!(!s.stopped, "and goes on");
        assert_eq!(
            stream(&["END"], &[b"the EN"]).1.told,
            "the EN",
            "held text comes at the end"
        );
    }

    #[test]
    fn the_tokenizers_own_first_space_is_dropped_once() {
        let mut s = Stream::new(Leading::DropSpace, &[]);
        assert_eq!(s.push(b""), "", "nothing yet");
        assert_eq!(s.push(b"  a"), " a", "one space");
        assert_eq!(s.push(b" b"), " b", "and only at the beginning");
    }
}
