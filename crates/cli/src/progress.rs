//! What a long command says while it runs: one line on a terminal, plain lines of stages otherwise.

use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use idiolect_studio::api::Event;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Notes a Ctrl+C; true if it was not the first.
pub fn interrupted() -> bool {
    INTERRUPTED.swap(true, Ordering::Relaxed)
}

/// Wipes the progress line.
pub fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
        let _ = std::io::stderr().flush();
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
            let line = format!(
                "step {} of {steps}{loss}{held_out} nats per token · {tokens_per_second:.0} tokens/s · {} left",
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
        Event::Stage { name, text } => {
            clear();
            eprintln!("[{name}] {text}");
        }
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
    fn durations_are_read_easily() {
        assert_eq!(duration(8.4), "8 s");
        assert_eq!(duration(200.0), "3 min 20 s");
    }
}
