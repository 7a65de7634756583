//! Chat templates as model files carry them (Jinja), run with limits: a template is foreign code.
//!
//! What Hugging Face's `apply_chat_template` offers is offered here: `raise_exception`, `tojson` as Python spells JSON,
//! Python's string methods, `break` and `continue`, trimmed blocks. The date is fixed, so that a prompt is the same tomorrow.
//!
//! `metered` builds the parsed template anew with checks on the size of what it makes; `meter` is those checks.

mod meter;
mod metered;

use std::io;

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Value, context,
    machinery::{eval, make_string_output},
    syntax::SyntaxConfig,
    value::Kwargs,
};
use serde::Serialize as _;

use crate::{LlmError, Message, Result};

/// Longest template read, bytes; the longest of today's tool-calling templates have about 20 kB.
const MAX_SOURCE_BYTES: usize = 256 * 1024;
/// Interpreter steps a rendering may take; a chat of hundreds of messages takes some ten thousand.
const FUEL: u64 = 1_000_000;
/// Macros and loops inside each other while they run; each takes some of the stack.
const MAX_NESTED: usize = 64;
/// Longest prompt rendered, bytes.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    source: String,
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
        environment.set_recursion_limit(MAX_NESTED);
        meter::install(&mut environment);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        metered::compile(source, environment.syntax()).map_err(failed)?;
        Ok(Self {
            environment,
            source: source.to_owned(),
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
        let root = context! {
            messages,
            add_generation_prompt => next == Turn::Assistant,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            enable_thinking => false,
        };
        self.run(root).map_err(failed)
    }

    /// Compiles anew, which takes as long as a token, and runs.
    fn run(&self, root: Value) -> std::result::Result<String, Error> {
        let environment: &Environment<'_> = &self.environment;
        let (instructions, blocks) = metered::compile(&self.source, environment.syntax())?;
        let mut text = String::new();
        meter::with_budget(|| {
            eval(
                environment,
                &instructions,
                root,
                &blocks,
                &mut make_string_output(&mut text),
                AutoEscape::None,
            )
            .map(drop)
        })?;
        if text.len() > MAX_OUTPUT_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "the prompt grew too long",
            ));
        }
        Ok(text)
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
        assert!(
            text.contains("fuel") || text.contains("work"),
            "stopped for its steps: {text}"
        );
        assert!(
            render("{% set s = messages[1].content * 100000 %}{% for a in range(1000) %}{{ s }}{% endfor %}").is_err(),
            "stopped for its length"
        );
        assert!(
            Template::new(&"x".repeat(MAX_SOURCE_BYTES + 1), "", "").is_err(),
            "too long to compile"
        );
    }

    /// What minijinja's own limits let through: one step each, or growth from step to step.
    #[test]
    fn nothing_grows_without_bounds() {
        let doubling = format!("{{% set s = 'ab' %}}{}", "{% set s = s ~ s %}".repeat(40));
        let lists = format!(
            "{{% set s = [1] %}}{}{{{{ s|length }}}}",
            "{% set s = s + s %}".repeat(40)
        );
        let tuples = format!("{{% set s = (1, 2) %}}{}", "{% set s = s + s %}".repeat(40));
        let folded = format!("{{{{ {} }}}}", ["'x' * 90000000"; 400].join(" ~ "));
        let raw = format!(
            "{{% macro m() %}}{}{{% endmacro %}}{{% set ns = namespace(l=[]) %}}{{% for i in range(90000) %}}{{% set ns.l = ns.l + [m()] %}}{{% endfor %}}",
            "words ".repeat(9000)
        );
        let quoted = format!(
            "{{% set s = 'x' * 4000000 %}}{}",
            "{% set s = s|tojson|tojson %}".repeat(40)
        );
        for (what, source) in [
            ("a text that doubles", doubling.as_str()),
            ("a list that doubles", &lists),
            ("a tuple that doubles", &tuples),
            ("constants that are multiplied while compiling", &folded),
            ("text between tags, kept in a list", &raw),
            ("quotes that are quoted", &quoted),
            (
                "a long list from nothing",
                "{{ ([1] * 100000000)|list|length }}",
            ),
            ("a long text from nothing", "{% set s = 'x' * 100000000 %}"),
            (
                "replacements by something long",
                "{% set s = 'x' * 4000000 %}{{ s|replace('x', s)|length }}",
            ),
            (
                "the same as a method",
                "{% set s = 'x' * 4000000 %}{{ s.replace('x', s)|length }}",
            ),
            (
                "joined by something long",
                "{% set s = 'x' * 4000000 %}{{ range(90000)|join(s)|length }}",
            ),
            (
                "joined by a method",
                "{% set s = 'x' * 4000000 %}{{ s.join(['a'] * 90000)|length }}",
            ),
            (
                "a wide indent",
                "{{ ('a\n' * 1000)|indent(1000000000)|length }}",
            ),
            ("a wide format", "{{ '{:2000000000}'.format(1)|length }}"),
            (
                "a wide format by a filter",
                "{{ '%2000000000d'|format(1)|length }}",
            ),
            (
                "a wide format by an argument",
                "{{ '%*d'|format(2000000000, 1)|length }}",
            ),
            (
                "wide batches",
                "{{ [1]|batch(1000000000, 'x')|list|length }}",
            ),
            ("many slices", "{{ [1]|slice(1000000000)|list|length }}"),
            (
                "a keyword",
                "{{ ('a\n' * 1000)|indent(width=1000000000)|length }}",
            ),
            (
                "searches",
                "{% set s = 'x' * 4000000 %}{% for a in range(90000) %}{% if s ~ 'y' in s %}{% endif %}{% endfor %}",
            ),
            (
                "comparisons",
                "{% set s = 'x' * 4000000 %}{% set t = s ~ '' %}{% for a in range(90000) %}{% if s == t %}{% endif %}{% endfor %}",
            ),
            (
                "filters by name",
                "{% set s = 'x' * 4000000 %}{{ ([s] * 90000)|map('upper')|list|length }}",
            ),
            (
                "tests by name",
                "{% set s = 'x' * 4000000 %}{{ ([s] * 90000)|select('in', s)|list|length }}",
            ),
            (
                "slices",
                "{% set s = 'x' * 4000000 %}{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = ns.l + [s[:]] %}{% endfor %}",
            ),
            (
                "lists in lists",
                "{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}",
            ),
            (
                "a namespace in itself",
                "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
            ),
            (
                "a macro in itself",
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            ),
            ("itself", "{% include 'chat' %}"),
            ("everything there is", "{{ debug() }}"),
        ] {
            let error = render(source).expect_err(what).to_string();
            assert!(error.len() < 300, "{what}: {error}");
        }
    }

    /// The checks change nothing about what a template writes: forms that published templates use, against plain minijinja.
    #[test]
    fn checks_change_nothing() {
        let mut plain = Environment::new();
        plain.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .unwrap(),
        );
        plain.set_auto_escape_callback(|_| AutoEscape::None);
        plain.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let messages: Vec<Value> = [
            ("system", "Be brief."),
            ("user", "  What is 2 + 2?\n"),
            ("assistant", "<think>\nwell\n</think>\n\n4"),
            ("user", "And <b>3</b>?"),
        ]
        .iter()
        .map(|&(role, content)| context! { role, content })
        .collect();
        let root = || context! { messages => messages.clone(), add_generation_prompt => true, bos_token => "<s>", eos_token => "</s>", enable_thinking => false };
        for source in [
            "{%- for m in messages -%}\n  {{- '<|' + m['role'] + '|>\n' + m.content | trim ~ eos_token -}}\n{%- endfor -%}\n{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif -%}",
            "{% if messages[0]['role'] == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}odd{% endif %}{{ loop.index }}{{ loop.last }}{{ m.content.strip() }}\n{% endfor %}",
            "{%- set ns = namespace(multi_step_tool=true, last=messages|length - 1) %}\n{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi_step_tool and m.role == 'user' and m.content is string %}{%- set ns.multi_step_tool = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}",
            "{% for m in messages %}{% if '</think>' in m.content %}{{ m.content.split('</think>')[-1].lstrip('\n') }}{% set r = m.content.split('</think>')[0].rstrip('\n').split('<think>')[-1] %}[{{ r }}]{% endif %}{% endfor %}",
            "{{ bos_token }}{% for m in messages if m.role not in ['system'] %}{{ m.role|upper }}{{ m['content']|replace('\n', ' ') }}{% else %}none{% endfor %}",
            "{% macro turn(role, text, end=eos_token) %}<{{ role }}>{{ text }}{{ end }}{% endmacro %}{% for m in messages %}{{ turn(m.role, m.content) }}{{ turn(m.role, '', end='.') }}{% endfor %}",
            "{% set x %}a {{ messages[0].role }}\n b{% endset %}{{ x|length }}{{ x }}{% filter upper %}é{{ x }}{% endfilter %}",
            "{% set x = {'a': [1, 2.5, none, true], 'b': {'c': 'd'}} %}{% for k, v in x.items() %}{{ k }}={{ v }};{% endfor %}{{ x.get('z', 'no') }}{{ x['a'][1:] }}{{ x.a[-1] }}",
            "{{ 7 // 2 * 3 - 2 ** 3 }} {{ 1.5 * 2 }} {{ -4 * 3 }} {{ 'ab' * 3 }} {{ [1, 2] * 2 }} {{ (1, 2) + (3,) }} {{ 3 * 'z' }}",
            "{{ (messages|selectattr('role', 'equalto', 'user')|list)[-1].content }}{{ messages|map(attribute='role')|join(', ') }}{{ messages|rejectattr('role', 'in', ['user'])|list|length }}",
            "{% if tools is defined and tools %}t{% elif messages is defined %}m{% endif %}{{ missing|default('d') }}{{ 'x' if enable_thinking is not defined or enable_thinking else 'y' }}{{ 'a' if false }}",
            "{%- for x in [1, [2, [3]]] recursive %}{{ x if x is number else loop(x) }}{% endfor %}{% with a = 1, b = 'c' %}{{ a }}{{ b }}{% endwith %}",
            "{% macro outer() %}[{{ caller('k') }}]{% endmacro %}{% call(k) outer() %}{{ k }}{{ messages[0].role }}{% endcall %}{% raw %}{{ not this }}{% endraw %}{# nor this #}",
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.content.startswith(' ') }}{{ 'b' in m.content and not m.content.endswith('?') }}{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}",
            "{% set a, b = 1, [2] %}{% set b = b + [a] %}{{ b }}{{ b|sum }}{{ b|sort|first }}{{ '%s-%d'|format('x', 3) }}{{ 'a,b'.split(',')|last }}{{ '{} {}'.format(1, 'é') }}",
        ] {
            let template =
                Template::new(source, "<s>", "</s>").unwrap_or_else(|e| panic!("{source}: {e}"));
            let expected = plain
                .render_str(source, root())
                .unwrap_or_else(|e| panic!("{source}: {e}"));
            let found = template
                .run(root())
                .unwrap_or_else(|e| panic!("{source}: {e}"));
            assert_eq!(found, expected, "{source}");
        }
    }
}
