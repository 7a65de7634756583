//! Lines of a stream, none of them held longer than a limit.

use std::io::{self, BufRead, ErrorKind};

/// How a line that was read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// With a line feed, which is part of what was read.
    Newline,
    /// It was longer than allowed; the rest is still to be read.
    Cut,
    /// With the stream.
    Eof,
}

/// Reads at most `most` bytes up to and with the next line feed into `line`, which is emptied first.
///
/// # Errors
/// Those of the stream.
pub(crate) fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<LineEnd> {
    line.clear();
    loop {
        let ready = match reader.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            ready => ready?,
        };
        if ready.is_empty() {
            return Ok(LineEnd::Eof);
        }
        let room = ready.len().min(most - line.len());
        let feed = ready[..room].iter().position(|&b| b == b'\n');
        let taken = feed.map_or(room, |at| at + 1);
        line.extend_from_slice(&ready[..taken]);
        reader.consume(taken);
        if feed.is_some() {
            return Ok(LineEnd::Newline);
        }
        if line.len() == most {
            return Ok(LineEnd::Cut);
        }
    }
}
