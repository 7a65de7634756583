//! Markdown to prose: headings and paragraphs as text, while front matter, code, tables, raw HTML and quotations
//! are taken out and recorded.

use idiolect_core::sample::{Removal, RemovalKind};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// A Markdown text as prose.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prose {
    pub text: String,
    /// The first heading.
    pub title: Option<String>,
    /// What was taken out: offsets are those of the prose with these blocks still standing in it.
    pub removed: Vec<Removal>,
}

/// Renders Markdown source.
pub(crate) fn render(source: &str) -> Prose {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut prose = Prose::default();
    let mut out = Writer::default();
    // The block being taken out, and how many blocks are open inside it.
    let mut dropping = 0usize;
    let mut heading_from = None;
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if dropping > 0 {
                    dropping += 1;
                } else if let Some(kind) = dropped(&tag) {
                    dropping = 1;
                    prose.removed.push(out.drop_block(kind, &source[range]));
                } else {
                    match tag {
                        Tag::Paragraph | Tag::List(_) => out.owe(if out.items > 0 { 1 } else { 2 }),
                        Tag::Heading { .. } => {
                            out.owe(2);
                            heading_from = Some(out.text.len());
                        }
                        Tag::Item => {
                            out.owe(1);
                            out.write("- ");
                        }
                        _ => {}
                    }
                    out.items += usize::from(matches!(tag, Tag::Item));
                }
            }
            Event::End(_) if dropping > 0 => dropping -= 1,
            _ if dropping > 0 => {}
            Event::End(tag) => match tag {
                TagEnd::Paragraph => out.owe(if out.items > 0 { 1 } else { 2 }),
                TagEnd::List(_) => out.owe(if out.items > 0 { 1 } else { 2 }),
                TagEnd::Item => {
                    out.items = out.items.saturating_sub(1);
                    out.owe(1);
                }
                TagEnd::Heading(_) => {
                    if let (Some(from), None) = (heading_from.take(), &prose.title) {
                        prose.title = Some(out.text[from..].trim().to_owned())
                            .filter(|title| !title.is_empty());
                    }
                    out.owe(2);
                }
                _ => {}
            },
            Event::Text(text) | Event::Code(text) => out.write(&text),
            // A soft break is where the editor wrapped the line, not where the writer broke it.
            Event::SoftBreak => out.write(" "),
            Event::HardBreak => out.owe(1),
            Event::Rule => out.owe(2),
            _ => {}
        }
    }
    prose.text = out.text;
    prose
}

fn dropped(tag: &Tag<'_>) -> Option<RemovalKind> {
    match tag {
        Tag::BlockQuote(_) => Some(RemovalKind::QuotedReply),
        Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) | Tag::Table(_) => {
            Some(RemovalKind::NotProse)
        }
        _ => None,
    }
}

/// Writes text with the line breaks that blocks owe each other.
#[derive(Default)]
struct Writer {
    text: String,
    /// Bytes of the blocks that were taken out so far.
    dropped: usize,
    breaks: usize,
    /// List items that are open.
    items: usize,
}

impl Writer {
    fn owe(&mut self, breaks: usize) {
        // Nothing is owed between a list marker and the item's text.
        if !self.text.ends_with("- ") {
            self.breaks = self.breaks.max(breaks);
        }
    }

    /// Leaves a block out, together with the blank line that would have followed it.
    fn drop_block(&mut self, kind: RemovalKind, block: &str) -> Removal {
        self.owe(2);
        self.write("");
        let text = format!("{}\n\n", block.trim_end());
        let start = self.text.len() + self.dropped;
        self.dropped += text.len();
        Removal {
            kind,
            start,
            end: start + text.len(),
            text,
        }
    }

    fn write(&mut self, piece: &str) {
        if !self.text.is_empty() {
            let there = self.text.len() - self.text.trim_end_matches('\n').len();
            let lacking = self.breaks.saturating_sub(there);
            self.text.extend(std::iter::repeat_n('\n', lacking));
        }
        self.breaks = 0;
        self.text.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use idiolect_text::clean::{Cleaned, put_back};

    use super::*;

    #[test]
    fn prose_stays_and_the_rest_is_recorded() {
        let source = "---\ntitle: x\n---\n# On *bread*\n\nFlour, water\nand `salt`.\n\n```sh\nrm crumbs\n```\n\n\
            > somebody else\n\n- one\n- two\n\nThe end.\n";
        let prose = render(source);
        assert_eq!(
            prose.text, "On bread\n\nFlour, water and salt.\n\n- one\n- two\n\nThe end.",
            "prose only"
        );
        assert_eq!(
            prose.title.as_deref(),
            Some("On bread"),
            "the first heading is the title"
        );
        let kinds: Vec<_> = prose.removed.iter().map(|removal| removal.kind).collect();
        assert_eq!(
            kinds,
            [
                RemovalKind::NotProse,
                RemovalKind::NotProse,
                RemovalKind::QuotedReply
            ],
            "front matter, code, quotation"
        );
        let cleaned = Cleaned {
            text: prose.text,
            removed: prose.removed,
        };
        assert_eq!(
            put_back(&cleaned),
            "---\ntitle: x\n---\n\nOn bread\n\nFlour, water and salt.\n\n```sh\nrm crumbs\n```\n\n> somebody else\n\n\
             - one\n- two\n\nThe end.",
            "what was cut can be put back where it stood"
        );
    }
}
