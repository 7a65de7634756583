//! The chat template on a golden conversation.

use idiolect_llm::{
    LlmError, Message, Result, Role, guard,
    template::{Template, Turn},
};

use super::{Check, sentence};
use crate::{
    config::Config,
    gguf::{Gguf, shown},
    tokenizer::Tokenizer,
};

pub(super) const NAME: &str = "chat template";

/// Said in the golden conversation: no template spells any of it.
const SAID: [(Role, &str); 4] = [
    (Role::System, "Kestrels answer briefly."),
    (Role::User, "What does the heron carry?"),
    (Role::Assistant, "A lantern of blue glass."),
    (Role::User, "And the otter?"),
];

const NO_WRITING: &str = "Writing, comparing and training are refused with a message; reading texts for dimensions and scoring work without it.";
const OTHER_FILE: &str =
    "Use the instruct version of the model, or a GGUF of it with its template.";

/// A template with what it made of the golden conversation.
pub(super) struct Examined {
    pub(super) source: Option<String>,
    /// With the assistant's turn opened, and closed after the answer.
    rendered: Option<Result<Rendered>>,
}

struct Rendered {
    prompt: String,
    closed: String,
    /// The conversation up to the assistant's answer.
    answered: String,
}

impl Examined {
    pub(super) fn new(gguf: &Gguf, tokenizer: Option<&Tokenizer>) -> Self {
        let source = gguf.text("tokenizer.chat_template").ok().flatten();
        let rendered = source.map(|source| {
            let names = tokenizer.map(|t| t.names().clone()).unwrap_or_default();
            let template = Template::new(source, &names.bos, &names.eos)?;
            let all = conversation();
            let plain = |text: String| guard::shown(&text).into_owned();
            Ok(Rendered {
                prompt: template.render(&all, Turn::Assistant).map(plain)?,
                closed: template.render(&all, Turn::Closed).map(plain)?,
                answered: template.render(&all[..3], Turn::Closed).map(plain)?,
            })
        });
        Self {
            source: source.map(str::to_owned),
            rendered,
        }
    }

    /// The golden conversation as the model would see it.
    pub(super) fn prompt(&self) -> Option<&str> {
        match &self.rendered {
            Some(Ok(rendered)) => Some(&rendered.prompt),
            _ => None,
        }
    }

    pub(super) fn check(&self, tokenizer: Option<&Tokenizer>, config: Option<&Config>) -> Check {
        let rendered = match &self.rendered {
            None => {
                let found = "The file carries none: it is probably a base model, which continues texts and answers nobody.";
                return Check::warning(NAME, found, NO_WRITING, OTHER_FILE);
            }
            Some(Err(error)) => return failing(self, error),
            Some(Ok(rendered)) => rendered,
        };
        if let Some(wrong) = contents(&rendered.prompt) {
            let means = "Prompts would not say what was meant, so drafts would be wrong.";
            return Check::broken(NAME, wrong, means, OTHER_FILE);
        }
        let Some(opening) = rendered
            .prompt
            .strip_prefix(rendered.closed.trim_end())
            .map(str::trim)
            .filter(|opening| !opening.is_empty())
        else {
            return Check::warning(
                NAME,
                "It opens no turn for the assistant.",
                "Drafts may begin by going on with your brief instead of answering it.",
                OTHER_FILE,
            );
        };
        if let Some(tokenizer) = tokenizer
            && let Some(ending) = endless(rendered, tokenizer)
        {
            return Check::warning(
                NAME,
                format!(
                    "It closes an answer with “{}”, at which generation does not stop.",
                    shown(&ending)
                ),
                "Drafts may run on into turns that nobody asked for, up to the longest draft you allow.",
                "Set a shorter longest draft, or look for another GGUF of it.",
            );
        }
        let tokens = tokenizer.and_then(|t| t.encode_prompt(&rendered.prompt).ok());
        if let (Some(tokens), Some(config)) = (&tokens, config)
            && tokens.len() >= config.context
        {
            return Check::broken(
                NAME,
                format!(
                    "Four short messages take {} tokens, and the context holds {}.",
                    tokens.len(),
                    config.context
                ),
                "Nothing can be written with it.",
                OTHER_FILE,
            );
        }
        let length = tokens.map_or_else(String::new, |t| format!(" ({} tokens)", t.len()));
        Check::ok(
            NAME,
            format!(
                "A conversation of four turns comes out in order, each message once{length}; the answer begins after “{}”.",
                shown(opening)
            ),
        )
    }
}

fn conversation() -> Vec<Message> {
    SAID.iter()
        .map(|&(role, text)| Message::new(role, text))
        .collect()
}

/// A template that does not run: at all, or only for a conversation that begins with standing instructions.
fn failing(examined: &Examined, error: &LlmError) -> Check {
    let plain = examined.source.as_deref().is_some_and(|source| {
        Template::new(source, "", "")
            .and_then(|t| t.render(&conversation()[1..], Turn::Assistant))
            .is_ok()
    });
    let found = if plain {
        format!(
            "It refuses standing instructions, which every prompt here begins with: {}",
            sentence(error)
        )
    } else {
        format!("It does not run: {}", sentence(error))
    };
    Check::broken(NAME, found, NO_WRITING, OTHER_FILE)
}

/// What is wrong with where the messages stand, if anything.
fn contents(prompt: &str) -> Option<String> {
    let mut places = Vec::new();
    for (role, text) in SAID {
        let role = role.as_str();
        match prompt.matches(text).count() {
            1 => places.extend(prompt.find(text).map(|at| (at, at + text.len()))),
            0 => return Some(format!("It loses a message of the {role}.")),
            n => return Some(format!("It writes a message of the {role} {n} times.")),
        }
    }
    if places.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Some("It changes the order of the messages.".to_owned());
    }
    // Before the question, before the answer, before the second question.
    let before: Vec<&str> = places
        .windows(2)
        .map(|pair| prompt[pair[0].1..pair[1].0].trim())
        .collect();
    if before[1].is_empty() || before[2].is_empty() {
        return Some("It puts nothing between a question and its answer.".to_owned());
    }
    (before[1] == before[2])
        .then(|| "It marks the assistant's turn and the person's alike.".to_owned())
}

/// What stands after an answer, if no token in it ends generation.
fn endless(rendered: &Rendered, tokenizer: &Tokenizer) -> Option<String> {
    let answer = SAID[2].1;
    let after = &rendered.answered[rendered.answered.find(answer)? + answer.len()..];
    let after = after.trim();
    let tokens = tokenizer.encode_prompt(after).ok()?;
    (!after.is_empty() && !tokens.iter().any(|&t| tokenizer.is_end(t))).then(|| after.to_owned())
}
