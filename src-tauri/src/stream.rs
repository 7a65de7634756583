//! Streams to the page: pieces of a draft are joined for a few milliseconds, so that a fast model does
//! not wake the page for every token. Order is kept, and nothing is held back when something else happens.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use idiolect_studio::api::Event;

/// How long a piece of a draft may wait for the next one.
pub const HOLD: Duration = Duration::from_millis(30);

/// Joins [`Event::ColumnText`]s of one column. It knows no clock: its caller says what time it is.
#[derive(Debug, Default)]
pub struct Coalescer {
    /// Text held back, a column each, in the order in which columns first spoke.
    held: Vec<(u32, String)>,
    /// When the oldest held text must go.
    due: Option<Instant>,
}

impl Coalescer {
    /// Takes an event and passes on what is ready: everything, unless it is one more piece of a draft.
    pub fn push(&mut self, event: Event, now: Instant, out: &mut impl FnMut(Event)) {
        match event {
            Event::ColumnText { column, text } => {
                match self.held.iter_mut().find(|(held, _)| *held == column) {
                    Some((_, held)) => held.push_str(&text),
                    None => self.held.push((column, text)),
                }
                let due = *self.due.get_or_insert(now + HOLD);
                if now >= due {
                    self.flush(out);
                }
            }
            other => {
                self.flush(out);
                out(other);
            }
        }
    }

    /// When [`Coalescer::flush`] is next due; `None` while nothing is held.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Passes on what is held.
    pub fn flush(&mut self, out: &mut impl FnMut(Event)) {
        self.due = None;
        for (column, text) in self.held.drain(..) {
            out(Event::ColumnText { column, text });
        }
    }
}

/// A sink that joins pieces of drafts before they reach `out`. Everything else passes at once and in
/// order; `out` runs on a thread that ends with the sink.
pub fn coalesced(
    mut out: impl FnMut(Event) + Send + 'static,
) -> impl FnMut(Event) + Send + 'static {
    let (events, inbox) = mpsc::channel::<Event>();
    thread::spawn(move || {
        let mut coalescer = Coalescer::default();
        loop {
            let next = match coalescer.due() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(event) => coalescer.push(event, Instant::now(), &mut out),
                Err(RecvTimeoutError::Timeout) => coalescer.flush(&mut out),
                Err(RecvTimeoutError::Disconnected) => return coalescer.flush(&mut out),
            }
        }
    });
    move |event| {
        // The thread outlives its sender.
        let _sent = events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use idiolect_studio::api::Response;

    use super::*;

    fn text(column: u32, text: &str) -> Event {
        Event::ColumnText {
            column,
            text: text.into(),
        }
    }

    fn words(events: &[Event]) -> Vec<String> {
        let word = |event: &Event| match event {
            Event::ColumnText { column, text } => format!("{column}:{text}"),
            Event::Done { .. } => "done".into(),
            other => panic!("unexpected {other:?}"),
        };
        events.iter().map(word).collect()
    }

    #[test]
    fn pieces_of_a_column_are_joined_and_leave_in_order_before_the_end() {
        let (start, mut out, mut coalescer) = (Instant::now(), Vec::new(), Coalescer::default());
        for (column, piece) in [(0, "Dear "), (1, "Hi"), (0, "Ada,")] {
            coalescer.push(text(column, piece), start, &mut |event| out.push(event));
        }
        assert!(out.is_empty(), "within the hold nothing leaves: {out:?}");
        assert_eq!(
            coalescer.due(),
            Some(start + HOLD),
            "the first piece starts the clock"
        );
        coalescer.push(
            Event::Done {
                response: Response::Ok,
            },
            start,
            &mut |event| out.push(event),
        );
        assert_eq!(
            words(&out),
            ["0:Dear Ada,", "1:Hi", "done"],
            "held text leaves before the end"
        );
        assert_eq!(coalescer.due(), None, "nothing is held any more");
    }

    #[test]
    fn a_piece_waits_no_longer_than_the_hold() {
        let (start, mut out, mut coalescer) = (Instant::now(), Vec::new(), Coalescer::default());
        coalescer.push(text(0, "a"), start, &mut |event| out.push(event));
        coalescer.push(text(0, "b"), start + HOLD, &mut |event| out.push(event));
        assert_eq!(
            words(&out),
            ["0:ab"],
            "the second piece came when the first was due"
        );
    }

    #[test]
    fn the_sink_loses_nothing_and_ends_with_the_end() {
        let (sender, inbox) = mpsc::channel();
        let mut sink = coalesced(move |event| sender.send(event).expect("the test listens"));
        for _ in 0..500 {
            sink(text(0, "x"));
        }
        sink(Event::Done {
            response: Response::Ok,
        });
        drop(sink);
        let events: Vec<Event> = inbox.iter().collect();
        let told = words(&events);
        assert_eq!(
            told.last().map(String::as_str),
            Some("done"),
            "the end comes last"
        );
        let joined: usize = told
            .iter()
            .filter(|word| *word != "done")
            .map(|word| word.len() - 2)
            .sum();
        assert_eq!(joined, 500, "every piece arrives once");
    }
}
