//! What a long command says while it runs: one line on a terminal, plain lines of stages otherwise.

use std::io::{IsTerminal, Write};

use idiolect_studio::api::Event;

use crate::print;

/// A line on standard error, in place of the progress.
pub fn note(line: &str) {
    clear();
    eprintln!("{line}");
}

/// Wipes the progress line.
pub fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
        let _ = std::io::stderr().flush();
    }
}

/// A draft on a terminal while it is written: its text where the answer will go, no progress in between.
pub struct Stream<W> {
    out: W,
    /// Whether any of it was shown: then the answer need not say the text again.
    pub begun: bool,
}

impl<W: Write> Stream<W> {
    pub fn to(out: W) -> Self {
        Self { out, begun: false }
    }

    pub fn show(&mut self, event: &Event) {
        match event {
            Event::ColumnText { text, .. } => {
                if !self.begun {
                    clear();
                }
                self.begun = true;
                // A reader that went away is no error.
                let _ = self.out.write_all(text.as_bytes());
                let _ = self.out.flush();
            }
            Event::Progress { .. } if self.begun => {}
            other => show(other),
        }
    }
}

/// Shows events on standard error; drafts' text goes nowhere (the answer carries it).
pub fn show(event: &Event) {
    let terminal = std::io::stderr().is_terminal();
    match event {
        Event::Progress {
            done,
            total,
            unit,
            message,
            seconds_left,
        } if terminal => {
            let left = seconds_left.map_or(String::new(), |s| format!(" · {} left", duration(s)));
            let of = if *total > 0 {
                format!(" {} of {} {unit}", count(*done, unit), count(*total, unit))
            } else {
                String::new()
            };
            eprint!("\r\x1b[2K{message}{of}{left}");
            let _ = std::io::stderr().flush();
        }
        // Only where somebody looks: a text does not belong in a log.
        Event::Trials { drafts, .. } if terminal => {
            eprint!("\r\x1b[2K");
            for draft in drafts {
                eprintln!("{}", print::trial(draft));
            }
        }
        Event::Loss {
            point,
            steps,
            tokens_per_second,
            seconds_left,
            ..
        } => {
            let loss = point
                .loss
                .map_or(String::new(), |l| format!(" loss {l:.3}"));
            let held_out = point
                .held_out
                .map_or(String::new(), |l| format!(" held out {l:.3}"));
            let style = match (point.style, point.copied) {
                (Some(style), Some(copied)) => format!(
                    " · drafts: style {style:.2}, {:.0} % copied",
                    100.0 * copied
                ),
                _ => String::new(),
            };
            let line = format!(
                "step {} of {steps}{loss}{held_out} nats per token{style} · {tokens_per_second:.0} tokens/s · {} left",
                point.step,
                duration(*seconds_left)
            );
            if terminal {
                eprint!("\r\x1b[2K{line}");
                if point.held_out.is_some() {
                    eprintln!();
                }
                let _ = std::io::stderr().flush();
            } else if point.held_out.is_some() {
                eprintln!("{line}");
            }
        }
        Event::ColumnNote { text, .. } => note(&format!("note: {text}")),
        Event::Stage { name, text } => note(&format!("[{name}] {text}")),
        _ => {}
    }
}

fn count(n: u64, unit: &str) -> String {
    if unit == "bytes" {
        format!("{:.1} M", n as f64 / 1e6)
    } else {
        n.to_string()
    }
}

/// "8 s", "3 min 20 s".
pub fn duration(seconds: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    if s < 90 {
        format!("{s} s")
    } else {
        format!("{} min {} s", s / 60, s % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_draft_is_its_text_and_nothing_else() {
        let mut stream = Stream::to(Vec::new());
        let piece = |text: &str| Event::ColumnText {
            column: 0,
            text: text.to_owned(),
        };
        stream.show(&piece("The lamp "));
        stream.show(&Event::Progress {
            done: 1,
            total: 2,
            unit: "tokens".to_owned(),
            message: "Writing".to_owned(),
            seconds_left: None,
        });
        stream.show(&piece("broke."));
        assert!(stream.begun);
        assert_eq!(stream.out, b"The lamp broke.");
    }

    #[test]
    fn durations_are_read_easily() {
        assert_eq!(duration(8.4), "8 s");
        assert_eq!(duration(200.0), "3 min 20 s");
    }
}
