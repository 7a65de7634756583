//! A deterministic toy model: bytes in, bytes out.

use std::collections::HashMap;

use crate::{
    AdapterSource, Cancel, DeviceChoice, DeviceKind, Ended, GenerateRequest, Generation, LlmError,
    Message, ModelInfo, Result, Role, ScoreRequest, Steering, TextModel, Token, guard,
    sampling::{Sampler, away_from},
};

const BOS: Token = 256;
const END_OF_TURN: Token = 257;
const SYSTEM: Token = 258;
const USER: Token = 259;
const ASSISTANT: Token = 260;
const VOCABULARY: usize = 261;
const CONTEXT: usize = 1 << 16;

const SPECIAL: [(&str, Token); 5] = [
    ("<|begin|>", BOS),
    ("<|end|>", END_OF_TURN),
    ("<|system|>", SYSTEM),
    ("<|user|>", USER),
    ("<|assistant|>", ASSISTANT),
];

/// Letters by how often English writes them; other printable bytes are rarer, the rest rarest.
const FREQUENT: &[u8] = b" etaoinsrhldcumfpgwybv,.kxjqz";

/// A byte model that prefers frequent letters and repeats what its context contains: after `th` it has seen before
/// `e`, `e` becomes likelier. So a text is likelier after text of the same kind, as with a real model, and a test can
/// see whether what it put into a prompt had an effect. An adapter makes every second letter likelier, by its scale.
#[derive(Debug)]
pub struct FakeModel {
    info: ModelInfo,
}

impl Default for FakeModel {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeModel {
    /// The toy.
    pub fn new() -> Self {
        Self {
            info: ModelInfo {
                id: "fake".into(),
                name: "Fake model".into(),
                architecture: "fake".into(),
                parameters: 0,
                file_bytes: 0,
                context: CONTEXT,
                vocabulary: VOCABULARY,
                layers: 0,
                hidden: 0,
                quantization: "none".into(),
                has_template: true,
                adds_bos: false,
                device: DeviceChoice {
                    kind: DeviceKind::Cpu,
                    label: "CPU (toy)".into(),
                    why: "A toy model for tests.".into(),
                },
            },
        }
    }
}

/// What the toy remembers of its context: which byte followed which two, and which one.
#[derive(Debug, Clone, Default)]
struct Memory {
    after_two: HashMap<[Token; 2], HashMap<Token, u32>>,
    after_one: HashMap<Token, HashMap<Token, u32>>,
    last: [Token; 2],
    adapter_scale: f32,
}

impl Memory {
    fn new(adapters: &[AdapterSource]) -> Self {
        Self {
            last: [BOS, BOS],
            adapter_scale: adapters.iter().map(|a| a.scale).sum(),
            ..Self::default()
        }
    }

    fn push(&mut self, token: Token) {
        *self
            .after_two
            .entry(self.last)
            .or_default()
            .entry(token)
            .or_default() += 1;
        *self
            .after_one
            .entry(self.last[1])
            .or_default()
            .entry(token)
            .or_default() += 1;
        self.last = [self.last[1], token];
    }

    fn logits(&self) -> Vec<f32> {
        let mut weights: Vec<f32> = (0..VOCABULARY as Token)
            .map(|token| {
                let byte = u8::try_from(token).ok();
                let weight = match byte.and_then(|b| FREQUENT.iter().position(|&f| f == b)) {
                    Some(rank) => 1.0 / (rank + 2) as f32,
                    None if byte.is_some_and(|b| b.is_ascii_graphic() || b == b'\n') => 0.005,
                    None if token == END_OF_TURN => 0.02,
                    None => 1e-5,
                };
                if byte.is_some_and(|b| b.is_ascii_alphabetic() && b % 2 == 0) {
                    weight * self.adapter_scale.exp()
                } else {
                    weight
                }
            })
            .collect();
        for (seen, strength) in [
            (self.after_one.get(&self.last[1]), 0.1),
            (self.after_two.get(&self.last), 0.5),
        ] {
            for (&token, &count) in seen.into_iter().flatten() {
                weights[token as usize] += strength * count as f32;
            }
        }
        weights.into_iter().map(f32::ln).collect()
    }

    fn log_prob(&self, token: Token) -> Result<f32> {
        let logits = self.logits();
        let sum: f32 = logits.iter().map(|l| l.exp()).sum();
        logits
            .get(token as usize)
            .map(|l| l - sum.ln())
            .ok_or_else(|| LlmError::Failed(format!("token {token} is not in the vocabulary")))
    }
}

fn no_layers(steer: &[Steering]) -> Result<()> {
    if steer.is_empty() {
        Ok(())
    } else {
        Err(LlmError::Unsupported("the toy has no hidden states".into()))
    }
}

impl TextModel for FakeModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn encode(&self, text: &str) -> Result<Vec<Token>> {
        Ok(text.bytes().map(Token::from).collect())
    }

    fn encode_prompt(&self, prompt: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut rest = prompt;
        while let Some(byte) = rest.bytes().next() {
            if let Some(after) = rest.strip_prefix(guard::GUARD) {
                rest = after;
            } else if let Some((spelling, token)) =
                SPECIAL.iter().find(|(s, _)| rest.starts_with(s))
            {
                tokens.push(*token);
                rest = &rest[spelling.len()..];
            } else {
                tokens.push(Token::from(byte));
                // Not a character boundary inside one: go on with the whole character's bytes.
                let length = rest.chars().next().map_or(1, char::len_utf8);
                tokens.extend(rest.bytes().take(length).skip(1).map(Token::from));
                rest = &rest[length..];
            }
        }
        Ok(tokens)
    }

    fn decode(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .filter_map(|&t| u8::try_from(t).ok())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn bos(&self) -> Option<Token> {
        None
    }

    fn end_of_turn(&self) -> Token {
        END_OF_TURN
    }

    fn render(&self, messages: &[Message]) -> Result<String> {
        let mut prompt = String::new();
        for message in messages {
            let open = match message.role {
                Role::System => "<|system|>",
                Role::User => "<|user|>",
                Role::Assistant => "<|assistant|>",
            };
            let content = guard::guarded(&message.content, &|text| {
                SPECIAL.iter().filter_map(|(s, _)| text.find(s)).min()
            });
            prompt.push_str(&format!("{open}{content}<|end|>"));
        }
        Ok(prompt + "<|assistant|>")
    }

    fn score(&self, requests: &[ScoreRequest], cancel: &Cancel) -> Result<Vec<Vec<Vec<f32>>>> {
        let mut results = Vec::new();
        for request in requests {
            no_layers(&request.steer)?;
            let mut memory = Memory::new(&request.adapters);
            request.prefix.iter().for_each(|&t| memory.push(t));
            let mut rows = Vec::new();
            for continuation in &request.continuations {
                cancel.check()?;
                let needed = request.prefix.len() + continuation.len();
                if needed > CONTEXT {
                    return Err(LlmError::ContextFull {
                        needed,
                        context: CONTEXT,
                    });
                }
                let mut memory = memory.clone();
                let mut row = Vec::with_capacity(continuation.len());
                for (i, &token) in continuation.iter().enumerate() {
                    if i > 0 || !request.prefix.is_empty() {
                        row.push(memory.log_prob(token)?);
                    }
                    memory.push(token);
                }
                rows.push(row);
            }
            results.push(rows);
        }
        Ok(results)
    }

    fn generate(
        &self,
        requests: &[GenerateRequest],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<Vec<Generation>> {
        let mut results = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            no_layers(&request.steer)?;
            if request.constraint.is_some() {
                return Err(LlmError::Unsupported("the toy holds to no form".into()));
            }
            let mut memory = Memory::new(&request.adapters);
            request.prompt.iter().for_each(|&t| memory.push(t));
            let mut against = None;
            if let Some(other) = &request.against {
                no_layers(&other.steer)?;
                let mut memory = Memory::new(&other.adapters);
                other.prompt.iter().for_each(|&t| memory.push(t));
                against = Some((memory, other));
            }
            let mut history = request.prompt.clone();
            let mut sampler = Sampler::new(&request.sampling);
            let mut generation = Generation {
                text: String::new(),
                tokens: Vec::new(),
                log_probs: Vec::new(),
                ended: Ended::Length,
                prompt_seconds: 0.0,
                seconds: 0.0,
            };
            let mut told = 0;
            for _ in 0..request.sampling.max_tokens {
                if cancel.is_cancelled() {
                    generation.ended = Ended::Cancelled;
                    break;
                }
                let mut logits = memory.logits();
                if let Some((memory, other)) = &against {
                    logits = away_from(&logits, &memory.logits(), other.strength, other.plausible);
                }
                let token = sampler.choose(&mut logits, &history)?;
                if token >= 256 {
                    generation.ended = Ended::Stop;
                    break;
                }
                generation.tokens.push(token);
                generation.log_probs.push(memory.log_prob(token)?);
                history.push(token);
                memory.push(token);
                if let Some((memory, _)) = &mut against {
                    memory.push(token);
                }
                let text = self.decode(&generation.tokens);
                let stop = request
                    .sampling
                    .stop
                    .iter()
                    .filter(|s| !s.is_empty())
                    .find_map(|s| text.find(s.as_str()));
                generation.text = text[..stop.unwrap_or(text.len())].to_owned();
                if stop.is_some() {
                    generation.ended = Ended::Stop;
                    break;
                }
                if generation.text.is_char_boundary(told) && !generation.text.ends_with('\u{fffd}')
                {
                    on_text(index, &generation.text[told.min(generation.text.len())..]);
                    told = generation.text.len();
                }
            }
            results.push(generation);
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idiolect_core::draft::Sampling;

    #[test]
    fn it_keeps_the_traits_promises() {
        let model = FakeModel::new();
        let prompt = model
            .render(&[Message::new(Role::User, "a <|end|> b")])
            .unwrap();
        assert!(
            !model.encode("<|end|>").unwrap().contains(&END_OF_TURN),
            "plain text cannot end a turn"
        );
        let tokens = model.encode_prompt(&prompt).unwrap();
        assert_eq!(
            tokens.first(),
            Some(&USER),
            "a prompt honours special tokens"
        );
        assert_eq!(
            tokens.iter().filter(|&&t| t == END_OF_TURN).count(),
            1,
            "the template's, not the message's"
        );
        let text = model.encode("the cat").unwrap();
        let alike = ScoreRequest {
            prefix: model.encode("the cat the cat ").unwrap(),
            continuations: vec![text.clone()],
            ..ScoreRequest::default()
        };
        let other = ScoreRequest {
            prefix: model.encode("0123456789").unwrap(),
            ..alike.clone()
        };
        let scores = model
            .score(&[alike.clone(), other], &Cancel::new())
            .unwrap();
        let sum = |row: &[f32]| row.iter().sum::<f32>();
        assert!(
            sum(&scores[0][0]) > sum(&scores[1][0]) + 1.0,
            "seen text is likelier: {scores:?}"
        );
        let bare = ScoreRequest {
            prefix: vec![],
            ..alike
        };
        assert_eq!(
            model.score(&[bare], &Cancel::new()).unwrap()[0][0].len(),
            text.len() - 1,
            "no first token"
        );
    }

    #[test]
    fn it_writes_the_same_text_twice_and_streams_all_of_it() {
        let model = FakeModel::new();
        let request = GenerateRequest {
            prompt: model
                .encode("a little text to go on with, and some more of it")
                .unwrap(),
            sampling: Sampling {
                max_tokens: 40,
                ..Sampling::default()
            },
            ..GenerateRequest::default()
        };
        let mut streamed = String::new();
        let first = model
            .generate(
                std::slice::from_ref(&request),
                &Cancel::new(),
                &mut |_, t| streamed.push_str(t),
            )
            .unwrap();
        let second = model
            .generate(&[request], &Cancel::new(), &mut |_, _| {})
            .unwrap();
        assert_eq!(first, second, "same seed, same text");
        assert_eq!(streamed, first[0].text, "the deltas add up");
        assert!(!first[0].text.is_empty(), "it wrote something");
    }
}
