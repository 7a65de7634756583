//! How much of a file is read at most.

/// Hard limits on what an import reads, unpacks and keeps. All sizes are bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of a document that is held in memory whole: text, Markdown, HTML, Word, and pasted text.
    pub max_file_bytes: u64,
    /// Size of a file that is streamed: mailboxes and chat exports.
    pub max_streamed_bytes: u64,
    /// Size of one mail, one JSON conversation or one line. The rest of a longer mail is skipped (it is nearly
    /// always an attachment); a longer conversation or line is an error.
    pub max_message_bytes: usize,
    /// Size to which the parts of a Word document may unpack, counted while unpacking.
    pub max_unzipped_bytes: u64,
    /// Unpacked bytes for each packed byte of one part, from 1 MiB unpacked on.
    pub max_zip_ratio: u64,
    /// Passages handed over; reading stops there and [`Counts::stopped_at_limit`](crate::Counts) says so.
    pub max_passages: usize,
    /// Different people that a scan keeps apart; later ones are not listed.
    pub max_participants: usize,
    /// Levels of nesting (conversations within objects, quotations within quotations) that are followed.
    pub max_depth: usize,
    /// Words that a mail or a run of chat messages needs to be worth keeping.
    pub min_words: usize,
    /// Words up to which consecutive short chat messages of the person are joined into one passage.
    pub join_words: usize,
    /// Characters of another person's message kept as the prompt of an answer.
    pub max_prompt_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 32_000_000,
            max_streamed_bytes: 64_000_000_000,
            max_message_bytes: 16 << 20,
            max_unzipped_bytes: 128 << 20,
            max_zip_ratio: 200,
            max_passages: 200_000,
            max_participants: 10_000,
            max_depth: 32,
            min_words: 3,
            join_words: 150,
            max_prompt_chars: 2_000,
        }
    }
}
