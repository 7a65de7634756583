//! Any chat template with any conversation ends: soon, in bounded memory, with a prompt or an error.
//!
//! Half of the inputs are template source as it stands; the others choose among the forms that templates are made of,
//! so that what is run is deep rather than refused by the parser. Time and memory are limited by libFuzzer's options.
#![no_main]

use arbitrary::{Result, Unstructured};
use idiolect_llm::{
    Message, Role,
    template::{Template, Turn},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Unstructured::new(bytes);
    let _ = run(&mut input);
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let composed = input.ratio(1, 2)?;
    let messages = conversation(input)?;
    let source = if composed {
        let mut source = String::new();
        statements(input, 0, &mut source)?;
        source
    } else {
        let rest = input.bytes(input.len())?;
        String::from_utf8_lossy(rest).into_owned()
    };
    if let Ok(template) = Template::new(&source, "<s>", "</s>") {
        let _ = template.render(&messages, Turn::Assistant);
        let _ = template.render(&messages, Turn::Closed);
    }
    Ok(())
}

fn conversation(input: &mut Unstructured<'_>) -> Result<Vec<Message>> {
    let roles = [Role::System, Role::User, Role::Assistant];
    (0..input.int_in_range(0..=5)?)
        .map(|_| {
            let said = ["Hi", "", " é🙂\n", "</think>", "{{ x }}", "a b,c\nd"];
            let role = *input.choose(&roles)?;
            Ok(Message::new(role, *input.choose(&said)?))
        })
        .collect()
}

const MOST_NESTED: usize = 5;

fn statements(input: &mut Unstructured<'_>, depth: usize, out: &mut String) -> Result<()> {
    for _ in 0..input.int_in_range(1..=6)? {
        if input.is_empty() {
            break;
        }
        statement(input, depth, out)?;
    }
    Ok(())
}

fn statement(input: &mut Unstructured<'_>, depth: usize, out: &mut String) -> Result<()> {
    let deep = depth >= MOST_NESTED;
    match input.int_in_range(0..=if deep { 4 } else { 11 })? {
        0 => *out += *input.choose(&["\n", "text", "  ", "<|im_start|>", "{# note #}"])?,
        1 | 2 => {
            *out += "{{ ";
            expression(input, depth, out)?;
            *out += " }}";
        }
        3 => {
            *out += "{% set ";
            *out += *input.choose(&["x", "y", "ns.x", "ns.l", "a, b"])?;
            *out += " = ";
            expression(input, depth, out)?;
            *out += " %}";
        }
        4 => *out += "{% set ns = namespace(x=1, l=[]) %}",
        5 | 6 => {
            *out += "{% for m in ";
            expression(input, depth, out)?;
            *out += *input.choose(&[" %}", " if m %}", " recursive %}"])?;
            statements(input, depth + 1, out)?;
            *out += *input.choose(&[
                "{% endfor %}",
                "{% else %}-{% endfor %}",
                "{% break %}{% endfor %}",
            ])?;
        }
        7 => {
            *out += "{%- if ";
            expression(input, depth, out)?;
            *out += " -%}";
            statements(input, depth + 1, out)?;
            *out += "{% else %}";
            statements(input, depth + 1, out)?;
            *out += "{% endif %}";
        }
        8 => {
            *out += "{% macro f(x, y=2) %}";
            statements(input, depth + 1, out)?;
            *out += "{% endmacro %}";
        }
        9 => {
            *out += "{% set x %}";
            statements(input, depth + 1, out)?;
            *out += "{% endset %}";
        }
        10 => {
            *out += "{% call f(1) %}";
            statements(input, depth + 1, out)?;
            *out += "{% endcall %}";
        }
        _ => {
            *out += "{% filter ";
            *out += *input.choose(FILTERS)?;
            *out += " %}";
            statements(input, depth + 1, out)?;
            *out += "{% endfilter %}";
        }
    }
    Ok(())
}

const FILTERS: &[&str] = &[
    "upper",
    "tojson",
    "tojson(indent=2)",
    "length",
    "list",
    "reverse",
    "sort",
    "unique",
    "join",
    "join(x)",
    "trim",
    "replace('a', x)",
    "indent(y)",
    "batch(3, x)",
    "slice(y)",
    "groupby('role')",
    "map('upper')",
    "map(attribute='role')",
    "select('in', x)",
    "selectattr('role', 'equalto', x)",
    "string",
    "int",
    "float",
    "round(y)",
    "items",
    "dictsort",
    "first",
    "last",
    "default(x)",
    "split",
    "lines",
    "sum",
    "min",
    "chain(x)",
    "zip(x)",
    "title",
    "format(x, y)",
    "attr('role')",
];

const METHODS: &[&str] = &[
    "strip()",
    "split(x)",
    "split()",
    "replace('a', x)",
    "join(x)",
    "format(x, y)",
    "upper()",
    "items()",
    "get('role')",
    "keys()",
    "startswith('a')",
    "splitlines()",
    "count('a')",
    "find(x)",
    "lstrip()",
    "title()",
    "values()",
    "rstrip(x)",
];

fn expression(input: &mut Unstructured<'_>, depth: usize, out: &mut String) -> Result<()> {
    let simple = depth >= MOST_NESTED || input.is_empty();
    match input.int_in_range(0..=if simple { 2 } else { 11 })? {
        0 | 1 => {
            *out += *input.choose(&[
                "x",
                "y",
                "m",
                "ns",
                "ns.l",
                "ns.x",
                "messages",
                "m.content",
                "m['role']",
                "loop",
                "loop.index",
                "messages[0]",
                "bos_token",
                "caller",
                "f",
                "undefined_thing",
            ])?;
        }
        2 => {
            *out += *input.choose(&[
                "'a'",
                "'{:9999}'",
                "'%s%99d'",
                "''",
                "1",
                "-3",
                "2.5",
                "99999",
                "1000000000",
                "9223372036854775807",
                "true",
                "none",
                "[]",
                "{}",
                "{'a': x}",
                "(x, y)",
                "range(99)",
                "range(99999)",
                "namespace(a=x)",
                "dict(a=x)",
            ])?;
        }
        3 | 4 => {
            *out += "(";
            expression(input, depth + 1, out)?;
            *out += *input.choose(&[
                " ~ ", " + ", " * ", " - ", " // ", " % ", " ** ", " == ", " < ", " in ", " and ",
                " or ", " / ", " not in ",
            ])?;
            expression(input, depth + 1, out)?;
            *out += ")";
        }
        5 | 6 => {
            expression(input, depth + 1, out)?;
            *out += "|";
            *out += *input.choose(FILTERS)?;
        }
        7 => {
            expression(input, depth + 1, out)?;
            *out += ".";
            *out += *input.choose(METHODS)?;
        }
        8 => {
            expression(input, depth + 1, out)?;
            *out += *input.choose(&[
                "[1:]", "[::-1]", "[0]", "[-1]", "[x]", ".role", "[:y]", "['a']",
            ])?;
        }
        9 => {
            *out += *input.choose(&[
                "f",
                "loop",
                "x",
                "raise_exception",
                "strftime_now",
                "loop.changed",
                "loop.cycle",
            ])?;
            *out += "(";
            expression(input, depth + 1, out)?;
            *out += ")";
        }
        10 => {
            *out += "[";
            expression(input, depth + 1, out)?;
            *out += ", ";
            expression(input, depth + 1, out)?;
            *out += "]";
        }
        _ => {
            expression(input, depth + 1, out)?;
            *out += *input.choose(&[
                " is defined",
                " is string",
                " is mapping",
                " is in x",
                " is eq(y)",
                " if x else y",
                " is none",
            ])?;
        }
    }
    Ok(())
}
