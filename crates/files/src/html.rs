//! HTML to plain text: what a reader sees as prose, paragraphs parted by a blank line.
//!
//! Only the tokenizer of a browser-grade parser is used and no tree is built, so that the cost stays linear and
//! nesting costs nothing. Quoted mail comes out as lines that begin with `> `, and a marked signature after `-- `, so
//! that the cleaning that follows treats HTML mail and plain mail alike. No link, image or style is ever fetched.

use std::cell::RefCell;

use html5ever::Attribute;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, ParseError, StartTag, Tag, TagToken, Token, TokenSink,
    TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// A rendered document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub text: String,
    /// The first heading, else the title of the page.
    pub title: Option<String>,
}

/// Renders a document or a fragment. `max_depth` bounds the levels of quotation that are marked.
pub(crate) fn render(html: &str, max_depth: usize) -> Rendered {
    let tokenizer = Tokenizer::new(
        Sink(RefCell::new(Renderer::new(max_depth))),
        TokenizerOpts::default(),
    );
    let input = BufferQueue::default();
    let mut tokens = 0;
    let mut silent = 0;
    for piece in pieces(&lean(html)) {
        input.push_back(StrTendril::from_slice(piece));
        while !input.is_empty() {
            let _ = tokenizer.feed(&input);
        }
        let seen = tokenizer.sink.0.borrow().tokens;
        silent = if seen == tokens {
            silent + piece.len()
        } else {
            0
        };
        tokens = seen;
        // The tokenizer compares every attribute of a tag with every other one, so a tag without end is given up.
        if silent > MAX_TAG_BYTES {
            break;
        }
    }
    if silent <= MAX_TAG_BYTES {
        tokenizer.end();
    }
    tokenizer.sink.0.into_inner().finish()
}

const PIECE_BYTES: usize = 8 << 10;
const MAX_TAG_BYTES: usize = 24 << 10;
/// Longer than any word, shorter than an image written into an attribute.
const MAX_RUN_BYTES: usize = 2_000;

/// The document without comments and without `data:` images, both of which may rightly be large.
fn lean(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find("<!--") {
        push_without_long_runs(&mut out, &rest[..start]);
        rest = match rest[start..].find("-->") {
            Some(end) => &rest[start + end + 3..],
            None => "",
        };
    }
    push_without_long_runs(&mut out, rest);
    out
}

fn push_without_long_runs(out: &mut String, text: &str) {
    for run in
        text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && !"+/=%_-.,;:".contains(c))
    {
        if run.len() <= MAX_RUN_BYTES {
            out.push_str(run);
        } else if let Some(end) = run.chars().next_back() {
            out.push(end);
        }
    }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.floor_char_boundary(PIECE_BYTES);
        let piece;
        (piece, rest) = rest.split_at(end);
        (!piece.is_empty()).then_some(piece)
    })
}

struct Sink(RefCell<Renderer>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut renderer = self.0.borrow_mut();
        match token {
            ParseError(_) => return TokenSinkResult::Continue,
            CharacterTokens(text) => renderer.characters(&text),
            TagToken(tag) if tag.kind == StartTag => {
                renderer.start(&tag);
                renderer.tokens += 1;
                // A tokenizer without a tree builder has to be told where markup stops being markup.
                return match &*tag.name {
                    "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                        TokenSinkResult::RawData(RawKind::Rawtext)
                    }
                    "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                    "plaintext" => TokenSinkResult::Plaintext,
                    _ => TokenSinkResult::Continue,
                };
            }
            TagToken(tag) => renderer.end(&tag),
            _ => {}
        }
        renderer.tokens += 1;
        TokenSinkResult::Continue
    }
}

/// An element being skipped, quoted or captured: its name and how many of that name are open inside it. Counting one
/// name is enough, and forgives unclosed tags of any other.
struct Open {
    name: String,
    depth: usize,
}

struct Renderer {
    out: String,
    tokens: usize,
    /// Line breaks owed before the next word: 1 a new line, 2 a new paragraph.
    breaks: usize,
    space: bool,
    skipping: Option<Open>,
    /// Open quotations, outermost first; one more than `max_depth` is not marked.
    quotes: Vec<Open>,
    pre: usize,
    max_depth: usize,
    page_title: Option<String>,
    heading: Option<String>,
    capture: Option<Capture>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Capture {
    PageTitle,
    Heading,
}

impl Renderer {
    fn new(max_depth: usize) -> Self {
        Self {
            out: String::new(),
            tokens: 0,
            breaks: 0,
            space: false,
            skipping: None,
            quotes: Vec::new(),
            pre: 0,
            max_depth,
            page_title: None,
            heading: None,
            capture: None,
        }
    }

    fn start(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if let Some(skipping) = &mut self.skipping {
            skipping.depth += usize::from(skipping.name == name);
            return;
        }
        if !tag.self_closing && is_skipped(name, &tag.attrs) {
            self.skipping = Some(Open {
                name: name.to_owned(),
                depth: 1,
            });
            return;
        }
        if let Some(quote) = self.quotes.last_mut()
            && quote.name == name
            && !is_quote(name, &tag.attrs)
        {
            quote.depth += 1;
        }
        match name {
            "br" => self.breaks = (self.breaks + 1).min(2),
            "title" => self.capture = Some(Capture::PageTitle),
            "pre" => self.pre += 1,
            "td" | "th" => self.space = true,
            "h1" | "h2" | "h3" if self.heading.is_none() => self.capture = Some(Capture::Heading),
            _ => {}
        }
        self.owe(breaks_around(name));
        if name == "li" {
            self.word("-");
            self.space = true;
        }
        if is_quote(name, &tag.attrs) && self.quotes.len() < self.max_depth {
            self.owe(1);
            self.quotes.push(Open {
                name: name.to_owned(),
                depth: 1,
            });
        } else if is_signature(&tag.attrs) && self.quotes.is_empty() {
            self.owe(1);
            self.word("-- ");
            self.owe(1);
        }
    }

    fn end(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if let Some(skipping) = &mut self.skipping {
            skipping.depth -= usize::from(skipping.name == name);
            if skipping.depth == 0 {
                self.skipping = None;
            }
            return;
        }
        if let Some(quote) = self.quotes.last_mut()
            && quote.name == name
        {
            quote.depth -= 1;
            if quote.depth == 0 {
                self.quotes.pop();
                self.owe(1);
            }
        }
        match name {
            "title" | "h1" | "h2" | "h3" => self.capture = None,
            "pre" => self.pre = self.pre.saturating_sub(1),
            _ => {}
        }
        self.owe(breaks_around(name));
    }

    fn characters(&mut self, text: &str) {
        if self.skipping.is_some() {
            return;
        }
        if self.capture == Some(Capture::PageTitle) {
            capture(&mut self.page_title, text);
            return;
        }
        if self.capture == Some(Capture::Heading) {
            capture(&mut self.heading, text);
        }
        for c in text.chars() {
            match c {
                '\n' if self.pre > 0 => {
                    self.breaks = (self.breaks + 1).min(2);
                    self.space = false;
                }
                c if c.is_whitespace() => self.space = true,
                // Zero-width fillers of newsletters.
                '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{ad}' | '\u{34f}' if !joins(c) => {}
                c => {
                    let mut buffer = [0; 4];
                    self.word(c.encode_utf8(&mut buffer));
                }
            }
        }
    }

    /// Writes a piece of a word, after the breaks or the space that are owed.
    fn word(&mut self, piece: &str) {
        if self.breaks > 0 || self.out.is_empty() {
            let prefix = "> ".repeat(self.quotes.len());
            if !self.out.is_empty() {
                self.out.push('\n');
                if self.breaks > 1 {
                    self.out.push_str(prefix.trim_end());
                    self.out.push('\n');
                }
            }
            self.out.push_str(&prefix);
        } else if self.space {
            self.out.push(' ');
        }
        (self.breaks, self.space) = (0, false);
        self.out.push_str(piece);
    }

    fn owe(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    fn finish(self) -> Rendered {
        let tidy = |title: String| {
            let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            (!title.is_empty()).then_some(title)
        };
        Rendered {
            text: self.out,
            title: self
                .heading
                .and_then(tidy)
                .or(self.page_title.and_then(tidy)),
        }
    }
}

/// The joiners are part of words in Persian and of emoji; the other zero-width characters are not.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

const MAX_TITLE_BYTES: usize = 300;

fn capture(title: &mut Option<String>, text: &str) {
    let title = title.get_or_insert_default();
    let room = MAX_TITLE_BYTES.saturating_sub(title.len());
    title.push_str(&text[..text.floor_char_boundary(room)]);
}

fn breaks_around(name: &str) -> usize {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "ul" | "ol" | "dl"
        | "table" | "pre" | "section" | "article" | "hr" | "figure" | "main" | "header" => 2,
        "div" | "li" | "tr" | "dt" | "dd" | "address" | "figcaption" | "center" | "body" => 1,
        _ => 0,
    }
}

fn is_skipped(name: &str, attributes: &[Attribute]) -> bool {
    match name {
        "script" | "style" | "noscript" | "template" | "nav" | "footer" | "aside" | "form"
        | "button" | "select" | "svg" | "math" | "iframe" | "object" | "textarea" | "noembed"
        | "noframes" | "datalist" => true,
        "div" | "span" | "section" | "table" | "td" | "ul" => {
            attribute(attributes, "hidden").is_some()
                || attribute(attributes, "style").is_some_and(|style| {
                    let style = style.to_ascii_lowercase();
                    style.split(';').any(|rule| {
                        rule.split_once(':').is_some_and(|(name, value)| {
                            name.trim() == "display" && value.trim().starts_with("none")
                        })
                    })
                })
        }
        _ => false,
    }
}

/// Where mail programs put the message that is answered.
fn is_quote(name: &str, attributes: &[Attribute]) -> bool {
    let class = attribute(attributes, "class").unwrap_or_default();
    name == "blockquote"
        || class.split_whitespace().any(|class| {
            matches!(
                class,
                "gmail_quote" | "gmail_extra_quote" | "yahoo_quoted" | "moz-cite-prefix"
            )
        })
}

fn is_signature(attributes: &[Attribute]) -> bool {
    attribute(attributes, "class").is_some_and(|class| {
        class
            .split_whitespace()
            .any(|class| matches!(class, "gmail_signature" | "moz-signature"))
    })
}

fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let found = attributes
        .iter()
        .find(|attribute| &*attribute.name.local == name)?;
    Some(&found.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        render(html, 8).text
    }

    #[test]
    fn paragraphs_breaks_and_lists_come_out_as_a_person_would_type_them() {
        let html = "<html><head><title>A page</title><style>p{color:red}</style></head><body><nav><a>Home</a></nav>\
            <h1>My <b>garden</b></h1><p>First  line,<br>second line.</p>\n<p>Caf&eacute; &amp; tea</p>\
            <ul><li>one<li>two</ul><script>if (a < b) { '</p>' }</script><footer>(c)</footer></body></html>";
        let rendered = render(html, 8);
        assert_eq!(
            rendered.text, "My garden\n\nFirst line,\nsecond line.\n\nCafé & tea\n\n- one\n- two",
            "script, style, navigation and footer are not prose"
        );
        assert_eq!(
            rendered.title.as_deref(),
            Some("My garden"),
            "the heading wins over the page title"
        );
    }

    #[test]
    fn lines_of_mail_programs_become_lines_and_blank_lines() {
        let html = "<div>Hello Ana,</div><div><br></div><div>see you at six.</div>\
            <div class=\"gmail_signature\">Tom</div>\
            <div class=\"gmail_quote\"><div>On Monday Ana wrote:</div><blockquote>When?<p>Ana</p></blockquote></div><div>Bye</div>";
        assert_eq!(
            text(html),
            "Hello Ana,\n\nsee you at six.\n-- \nTom\n> On Monday Ana wrote:\n> >\n> > When?\n> >\n> > Ana\n\nBye",
            "signature and quotation are marked as plain mail marks them, and end where their element ends"
        );
    }

    #[test]
    fn hidden_text_and_large_images_leave_no_trace() {
        let image = "A".repeat(3 << 20);
        let html = format!(
            "<div style=\"display: none\">preview</div><p>Seen.</p><img src=\"data:image/png;base64,{image}\"><p>Also.</p>"
        );
        assert_eq!(
            text(&html),
            "Seen.\n\nAlso.",
            "the image is dropped without ending the text"
        );
    }

    #[test]
    fn a_tag_with_endless_attributes_ends_the_text_quickly() {
        let html = format!(
            "<p>Before.</p><a {}",
            (0..400_000).map(|i| format!("a{i} ")).collect::<String>()
        );
        assert_eq!(
            text(&html),
            "Before.",
            "comparing 400,000 attributes pairwise would take minutes"
        );
    }

    #[test]
    fn preformatted_lines_stay_lines() {
        assert_eq!(
            text("<pre>one\n  two\n\nthree</pre>"),
            "one\ntwo\n\nthree",
            "only line structure is kept"
        );
    }
}
