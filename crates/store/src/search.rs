//! From what a person types into a search box to an FTS5 query.

/// Every word must occur, the last one as a beginning; `None` where there is no word.
///
/// Words are quoted, so that nothing typed is FTS5 syntax.
pub(crate) fn query(typed: &str) -> Option<String> {
    let words: Vec<String> = typed
        .split_whitespace()
        // FTS5 refuses a phrase without a token in it.
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"").replace('\0', "")))
        .collect();
    if words.is_empty() {
        return None;
    }
    Some(format!("{}*", words.join(" ")))
}
