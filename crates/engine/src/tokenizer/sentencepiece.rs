//! SentencePiece BPE by score, as Llama 2's files carry it: the pair of neighbours whose joined piece scores highest is
//! joined until none is left; what is not in the vocabulary is spelled in bytes.

use std::{cmp::Ordering, collections::BinaryHeap, collections::HashMap};

use idiolect_llm::{Result, Token};

use super::{Vocabulary, kind};
use crate::gguf::{Gguf, corrupt};

/// SentencePiece writes a space so.
const SPACE: char = '\u{2581}';

/// The vocabulary with its scores.
pub(super) struct SentencePiece {
    pieces: HashMap<String, Token>,
    scores: Vec<f32>,
    bytes: Vec<Option<Token>>,
    unknown: Token,
    adds_space: bool,
}

/// Two neighbours that may be joined.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Pair {}
impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pair {
    /// The best score first, then the leftmost.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.left.cmp(&self.left))
    }
}

/// A stretch of the text, in a list that shrinks as stretches are joined.
struct Symbol {
    start: usize,
    length: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

impl SentencePiece {
    pub(super) fn new(gguf: &Gguf, vocabulary: &Vocabulary<'_>) -> Result<Self> {
        let n = vocabulary.tokens.len();
        let scores: Vec<f32> = gguf
            .numbers("tokenizer.ggml.scores")?
            .filter(|s| s.len() == n)
            .ok_or_else(|| corrupt("its vocabulary has no scores"))?
            .iter()
            .map(|&s| s as f32)
            .collect();
        let mut pieces = HashMap::with_capacity(n);
        let mut bytes = vec![None; 256];
        for (id, token) in vocabulary.tokens.iter().enumerate() {
            match vocabulary.kinds[id] {
                kind::BYTE => {
                    if let Some(&byte) = spelled(token, true).first() {
                        bytes[usize::from(byte)] = Some(id as Token);
                    }
                }
                kind::CONTROL | kind::UNUSED => {}
                _ => {
                    pieces.entry(token.clone()).or_insert(id as Token);
                }
            }
        }
        Ok(Self {
            pieces,
            scores,
            bytes,
            unknown: gguf
                .count("tokenizer.ggml.unknown_token_id")?
                .filter(|&id| id < n)
                .unwrap_or(0) as Token,
            adds_space: gguf
                .flag("tokenizer.ggml.add_space_prefix")?
                .unwrap_or(true),
        })
    }

    pub(super) fn adds_space(&self) -> bool {
        self.adds_space
    }

    /// `start`: the text stands at a beginning, where a space is put in front of it.
    pub(super) fn encode(&self, text: &str, start: bool, out: &mut Vec<Token>) {
        let mut escaped = String::with_capacity(text.len() + 3);
        if start && self.adds_space {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));

        let mut symbols: Vec<Symbol> = escaped
            .char_indices()
            .enumerate()
            .map(|(i, (start, c))| Symbol {
                start,
                length: c.len_utf8(),
                previous: i.checked_sub(1),
                next: (start + c.len_utf8() < escaped.len()).then_some(i + 1),
            })
            .collect();
        let mut queue = BinaryHeap::new();
        let offer =
            |queue: &mut BinaryHeap<Pair>, symbols: &[Symbol], left: usize, right: usize| {
                let length = symbols[left].length + symbols[right].length;
                let joined = &escaped[symbols[left].start..][..length];
                if let Some(&token) = self.pieces.get(joined) {
                    queue.push(Pair {
                        score: self.scores[token as usize],
                        left,
                        right,
                        length,
                    });
                }
            };
        for right in 1..symbols.len() {
            offer(&mut queue, &symbols, right - 1, right);
        }
        while let Some(pair) = queue.pop() {
            let (left, right) = (pair.left, pair.right);
            // One of the two was joined with another neighbour meanwhile.
            if symbols[left].length == 0
                || symbols[right].length == 0
                || symbols[left].length + symbols[right].length != pair.length
            {
                continue;
            }
            symbols[left].length = pair.length;
            symbols[right].length = 0;
            symbols[left].next = symbols[right].next;
            if let Some(next) = symbols[left].next {
                symbols[next].previous = Some(left);
                offer(&mut queue, &symbols, left, next);
            }
            if let Some(previous) = symbols[left].previous {
                offer(&mut queue, &symbols, previous, left);
            }
        }
        let mut at = (!symbols.is_empty()).then_some(0);
        while let Some(i) = at {
            self.put(&escaped[symbols[i].start..][..symbols[i].length], out);
            at = symbols[i].next;
        }
    }

    fn put(&self, piece: &str, out: &mut Vec<Token>) {
        if let Some(&token) = self.pieces.get(piece) {
            out.push(token);
        } else {
            out.extend(
                piece
                    .bytes()
                    .map(|b| self.bytes[usize::from(b)].unwrap_or(self.unknown)),
            );
        }
    }
}

/// The bytes that a piece stands for; byte tokens are spelled `<0x0A>`.
pub(super) fn spelled(token: &str, is_byte: bool) -> Vec<u8> {
    if is_byte {
        let digits = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
        return digits
            .and_then(|d| u8::from_str_radix(d, 16).ok())
            .map_or(Vec::new(), |b| vec![b]);
    }
    token.replace(SPACE, " ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> SentencePiece {
        let scored = [
            ("<unk>", 0.0),
            ("▁", -9.0),
            ("a", -8.0),
            ("b", -8.0),
            ("ab", -2.0),
            ("▁a", -1.0),
            ("bb", -3.0),
            ("▁ab", -4.0),
        ];
        let mut bytes = vec![None; 256];
        bytes[0xc3] = Some(100);
        SentencePiece {
            pieces: scored
                .iter()
                .enumerate()
                .skip(1)
                .map(|(i, (p, _))| ((*p).to_owned(), i as Token))
                .collect(),
            scores: scored.iter().map(|s| s.1).collect(),
            bytes,
            unknown: 0,
            adds_space: true,
        }
    }

    fn encode(text: &str, start: bool) -> Vec<Token> {
        let mut out = Vec::new();
        toy().encode(text, start, &mut out);
        out
    }

    #[test]
    fn the_best_scored_pair_is_joined_first() {
        assert_eq!(encode("ab", true), [7], "space and a, then that and b");
        assert_eq!(encode("ab", false), [4], "no space inside a text");
        assert_eq!(encode("abb", false), [4, 3], "ab scores above bb");
        assert_eq!(
            encode("bb a", false),
            [6, 5],
            "a space inside belongs to the next word"
        );
        assert_eq!(
            encode("", false),
            Vec::<Token>::new(),
            "nothing gives nothing"
        );
    }

    #[test]
    fn what_has_no_piece_is_spelled_in_bytes() {
        assert_eq!(
            encode("é", false),
            [100, 0],
            "the second byte has no token either"
        );
        assert_eq!(spelled("<0x0A>", true), b"\n");
        assert_eq!(spelled("▁the", false), b" the");
    }
}
