//! What a rendering may cost. minijinja counts steps, but one step may double a text or search a million characters for
//! a million others; so every value that a step makes or reads whole is measured, and the sum is limited.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Rest, ValueKind, ValueOrKwargs},
};

/// Work that a rendering may do, about one unit a byte made or looked at. A conversation of hundreds of messages in a
/// template that asks for its length at every turn takes some ten million.
pub(super) const MAX_WORK: u64 = 128 << 20;
/// Longest rendering, whatever it has done by then; a long conversation takes milliseconds.
const MAX_TIME: Duration = Duration::from_secs(5);
/// Longest text that a template may hold, bytes; more than any context holds.
pub(super) const MAX_TEXT_BYTES: usize = 4 << 20;
/// Deepest nesting of lists and maps: beyond, printing or dropping one would use up the stack.
const MAX_DEPTH: usize = 48;
/// Units of a list element or a map entry, about its bytes.
const ELEMENT: u64 = 32;

/// Names that no template can spell: checks put into the parsed template.
pub(super) mod names {
    /// Measures a value and gives it back.
    pub const WHOLE: &str = "\0whole";
    /// The same for texts only: for steps that go through a text, but not through a list.
    pub const TEXT: &str = "\0text";
    /// Multiplies, after looking at what would come of it.
    pub const TIMES: &str = "\0times";
    /// Applies the filter that the first argument names, after looking at what it is applied to.
    pub const FILTER: &str = "\0filter";
}

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs a rendering on this thread with a budget of its own.
pub(super) fn with_budget<R>(work: impl FnOnce() -> R) -> R {
    LEFT.set(MAX_WORK);
    DEADLINE.set(Instant::now().checked_add(MAX_TIME));
    let result = work();
    LEFT.set(0);
    DEADLINE.set(None);
    result
}

/// Puts the checks into an environment.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter(names::WHOLE, |value: Value| whole(value));
    environment.add_filter(names::TEXT, |value: Value| {
        value.as_str().map_or(Ok(()), measure_text).map(|()| value)
    });
    environment.add_filter(names::TIMES, |left: Value, right: Value| {
        times(&left, &right)
    });
    environment.add_filter(
        names::FILTER,
        |state: &mut State<'_, '_>, value: Value, name: String, rest: Rest<ValueOrKwargs>| {
            let mut arguments = vec![value];
            arguments.extend(rest.into_values());
            call_cost(&name, &arguments[0], &arguments[1..])?;
            state.apply_filter(&name, &arguments)
        },
    );
    environment.set_unknown_method_callback(|state, value, method, arguments| {
        call_cost(method, value, arguments)?;
        minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
    });
    // They write out everything there is, at any width.
    environment.remove_global("debug");
    environment.remove_filter("pprint");
}

fn too_much(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.to_owned())
}

fn spend(cost: u64) -> Result<(), Error> {
    /// Units between looks at the clock.
    const LOOK: u64 = 1 << 14;
    let before = LEFT.get();
    let left = before
        .checked_sub(cost)
        .ok_or_else(|| too_much("it does too much work"))?;
    LEFT.set(left);
    if left / LOOK != before / LOOK && DEADLINE.get().is_some_and(|d| Instant::now() > d) {
        return Err(too_much("it takes too long"));
    }
    Ok(())
}

fn measure_text(text: &str) -> Result<(), Error> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(too_much("one of its texts grew too long"));
    }
    spend(text.len() as u64 + 1)
}

fn whole(value: Value) -> Result<Value, Error> {
    measure(&value, 0)?;
    Ok(value)
}

/// Spends what the value costs with everything in it; a walk ends where the budget does.
fn measure(value: &Value, depth: usize) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return measure_text(text);
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {}
        ValueKind::Bytes => return spend(value.len().unwrap_or(0) as u64),
        _ => return spend(1),
    }
    if depth == MAX_DEPTH {
        return Err(too_much("its values are nested too deeply"));
    }
    spend(ELEMENT)?;
    // Before the first element is looked at: a repeated list is long and holds nothing.
    let length = value.len().unwrap_or(0) as u64;
    if length.saturating_mul(ELEMENT) > LEFT.get() {
        return Err(too_much("one of its lists grew too long"));
    }
    let is_map = value.kind() == ValueKind::Map;
    for element in value.try_iter()? {
        spend(ELEMENT)?;
        measure(&element, depth + 1)?;
        if is_map {
            measure(&value.get_item(&element)?, depth + 1)?;
        }
    }
    Ok(())
}

fn cost_of(value: &Value) -> Result<u64, Error> {
    let before = LEFT.get();
    measure(value, 0)?;
    Ok(before - LEFT.get())
}

/// A filter or method does at most its value times its arguments: replaces every letter, looks for each of them in
/// everything, or indents every line by a number.
fn call_cost(name: &str, value: &Value, arguments: &[Value]) -> Result<(), Error> {
    let mut factor = 1_u64;
    for argument in arguments {
        factor = factor.saturating_add(cost_of(argument)?);
        for number in [Some(argument)]
            .into_iter()
            .flatten()
            .cloned()
            .chain(keyword_values(argument))
        {
            if let Some(n) = number.as_i64() {
                factor = factor.saturating_add(n.unsigned_abs());
            } else if number.is_number() {
                factor = factor.saturating_add(f64::try_from(number).map_or(0, |x| x.abs() as u64));
            }
        }
    }
    if name == "format" {
        let text = value.as_str().unwrap_or_default();
        factor = factor.saturating_mul(widest(text));
    }
    spend(cost_of(value)?.saturating_mul(factor))
}

/// The values of keyword arguments, which come as one map.
fn keyword_values(argument: &Value) -> Vec<Value> {
    if argument.kind() != ValueKind::Map {
        return Vec::new();
    }
    let keys = argument.try_iter().into_iter().flatten();
    keys.filter_map(|key| argument.get_item(&key).ok())
        .collect()
}

/// The largest number that a format text spells, as a width or precision.
fn widest(text: &str) -> u64 {
    text.split(|c: char| !c.is_ascii_digit())
        .map(|digits| {
            digits
                .parse()
                .unwrap_or(if digits.is_empty() { 1 } else { u64::MAX })
        })
        .max()
        .unwrap_or(1)
        .max(1)
}

fn times(left: &Value, right: &Value) -> Result<Value, Error> {
    if left.is_number() && right.is_number() {
        if left.is_integer()
            && right.is_integer()
            && let (Ok(a), Ok(b)) = (i128::try_from(left.clone()), i128::try_from(right.clone()))
        {
            return a
                .checked_mul(b)
                .map(|n| i64::try_from(n).map_or_else(|_| Value::from(n), Value::from))
                .ok_or_else(|| too_much("one of its numbers grew too large"));
        }
        return Ok(Value::from(
            f64::try_from(left.clone())? * f64::try_from(right.clone())?,
        ));
    }
    let (repeated, n) = match (left.as_usize(), right.as_usize()) {
        (None, Some(n)) => (left, n),
        (Some(n), None) => (right, n),
        _ => return Err(too_much("it multiplies what cannot be multiplied")),
    };
    spend(cost_of(repeated)?.saturating_mul(n as u64))?;
    if let Some(text) = repeated.as_str() {
        if text.len().saturating_mul(n) > MAX_TEXT_BYTES {
            return Err(too_much("one of its texts grew too long"));
        }
        return Ok(Value::from(text.repeat(n)));
    }
    if !matches!(repeated.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(too_much("it multiplies what cannot be multiplied"));
    }
    let once: Vec<Value> = repeated.try_iter()?.collect();
    let all = std::iter::repeat_n(once, n).flatten();
    Ok(Value::from(all.collect::<Vec<Value>>()))
}
