//! Chat templates as model files carry them (Jinja), run with limits: a template is foreign code.
//!
//! What Hugging Face's `apply_chat_template` offers is offered here: `raise_exception`, `tojson` as Python spells JSON,
//! Python's string methods, `break` and `continue`, trimmed blocks. The date is fixed, so that a prompt is the same tomorrow.

use std::io;

use minijinja::{
    Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig, value::Kwargs,
};
use serde::Serialize as _;

use crate::{LlmError, Message, Result};

/// Longest template read, bytes; the longest of today's tool-calling templates have about 20 kB.
const MAX_SOURCE_BYTES: usize = 256 * 1024;
/// Interpreter steps a rendering may take; a chat of hundreds of messages takes some ten thousand.
const FUEL: u64 = 2_000_000;
/// Longest prompt rendered, bytes.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl Template {
    /// Compiles `source`. `bos` and `eos` are the spellings of the model's tokens, empty where it has none.
    ///
    /// # Errors
    /// [`LlmError::Template`] when it is too long or does not parse.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(LlmError::Template(format!(
                "it has {} bytes; {MAX_SOURCE_BYTES} are allowed",
                source.len()
            )));
        }
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(failed)?,
        );
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned("chat", source.to_owned())
            .map_err(failed)?;
        Ok(Self {
            environment,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
        })
    }

    /// Renders `messages`; with [`Turn::Assistant`] the text ends where the assistant begins to speak.
    ///
    /// # Errors
    /// [`LlmError::Template`] when the template raises, fails or exceeds its limits.
    pub fn render(&self, messages: &[Message], next: Turn) -> Result<String> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|m| context! { role => m.role.as_str(), content => m.content.as_str() })
            .collect();
        let template = self.environment.get_template("chat").map_err(failed)?;
        let mut output = Bounded(Vec::new());
        template
            .render_captured_to(
                context! {
                    messages,
                    add_generation_prompt => next == Turn::Assistant,
                    bos_token => self.bos.as_str(),
                    eos_token => self.eos.as_str(),
                    enable_thinking => false,
                },
                &mut output,
            )
            .map_err(failed)?;
        String::from_utf8(output.0)
            .map_err(|_| LlmError::Template("it wrote something that is not UTF-8".into()))
    }
}

/// What follows the last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The assistant's turn is opened.
    Assistant,
    /// Nothing is opened: a finished conversation, as for training.
    Closed,
}

/// The template's own words, without its source and without the messages.
fn failed(error: Error) -> LlmError {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    LlmError::Template(match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    })
}

fn raise_exception(message: String) -> std::result::Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// Templates ask for today's date to put it into the prompt. They get the day that Llama 3's template falls back on.
fn strftime_now(format: &str) -> String {
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match letters.next() {
            Some('d') => text.push_str("26"),
            Some('m') => text.push_str("07"),
            Some('b') => text.push_str("Jul"),
            Some('B') => text.push_str("July"),
            Some('Y') => text.push_str("2024"),
            Some('y') => text.push_str("24"),
            Some('A') => text.push_str("Friday"),
            Some('H' | 'M' | 'S') => text.push_str("00"),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// `tojson` as Python's `json.dumps(ensure_ascii=False)` writes it.
fn to_json(value: &Value, options: Kwargs) -> std::result::Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Templates may pass Python's other options; these do not change what we write.
    let _: (Option<Value>, Option<Value>, Option<Value>) = (
        options.get("ensure_ascii")?,
        options.get("separators")?,
        options.get("sort_keys")?,
    );
    options.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut out, formatter,
            ))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut out,
            PythonSpacing,
        )),
    };
    written.map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    String::from_utf8(out).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
}

/// A space after every comma and colon.
struct PythonSpacing;

impl serde_json::ser::Formatter for PythonSpacing {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

/// A buffer that refuses to grow past [`MAX_OUTPUT_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::other("the prompt grew too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn render(source: &str) -> Result<String> {
        let messages = [
            Message::new(Role::System, "Be brief."),
            Message::new(Role::User, " Hi <b> \"there\" "),
        ];
        Template::new(source, "<s>", "</s>")?.render(&messages, Turn::Assistant)
    }

    #[test]
    fn blocks_are_trimmed_and_nothing_is_escaped() {
        let source = "{{ bos_token }}\n{% for m in messages %}\n  {% if true %}\n[{{ m.role }}] {{ m['content'] | trim }}{{ eos_token }}\n  {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}\n[assistant]\n{% endif %}\n";
        assert_eq!(
            render(source).unwrap(),
            "<s>\n[system] Be brief.</s>\n[user] Hi <b> \"there\"</s>\n[assistant]\n",
            "as Jinja2 with trim_blocks and lstrip_blocks writes it"
        );
        let closed = Template::new("{{ add_generation_prompt }}", "", "").unwrap();
        assert_eq!(
            closed.render(&[], Turn::Closed).unwrap(),
            "False",
            "no turn opened"
        );
    }

    #[test]
    fn what_templates_use_of_python_works() {
        assert_eq!(
            render("{{ messages[1].content.strip() }}").unwrap(),
            "Hi <b> \"there\""
        );
        assert_eq!(
            render("{{ messages[1]['content'].strip().split(' ')[0].upper() }}").unwrap(),
            "HI"
        );
        assert_eq!(
            render("{{ {'a': [1, 'x<y'], 'b': none} | tojson }}").unwrap(),
            "{\"a\": [1, \"x<y\"], \"b\": null}",
            "Python's spacing and no HTML escapes"
        );
        assert_eq!(render("{{ [1] | tojson(indent=2) }}").unwrap(), "[\n  1\n]");
        assert_eq!(
            render("{{ strftime_now('%d %b %Y') }}").unwrap(),
            "26 Jul 2024"
        );
        assert_eq!(
            render("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}").unwrap(),
            "system"
        );
        assert_eq!(render("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}").unwrap(), "2");
    }

    #[test]
    fn failures_say_why() {
        let text = render("{{ raise_exception('roles must alternate') }}")
            .unwrap_err()
            .to_string();
        assert!(text.contains("roles must alternate"), "{text}");
        let text = render("{% for %}").unwrap_err().to_string();
        assert!(text.contains("template"), "{text}");
        assert!(
            render("{{ messages[9].content }}").is_err(),
            "a missing message is an error, not silence"
        );
    }

    #[test]
    fn runaway_templates_are_stopped() {
        let text = render(
            "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
        )
        .unwrap_err()
        .to_string();
        assert!(text.contains("fuel"), "stopped for its steps: {text}");
        assert!(
            render("{% set s = messages[1].content * 100000 %}{% for a in range(1000) %}{{ s }}{% endfor %}").is_err(),
            "stopped for its length"
        );
        assert!(
            Template::new(&"x".repeat(MAX_SOURCE_BYTES + 1), "", "").is_err(),
            "too long to compile"
        );
    }
}
