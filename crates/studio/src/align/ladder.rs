//! A ladder of settings: each rung asks for less memory than the one above it, and costs something else.

use idiolect_core::training::TrainSettings;

use crate::api::Rung;

/// Rows shorter than this hold too little of a text.
const SHORTEST_ROW: u32 = 96;

/// Settings that need less and less memory, the given ones first, each with what it changes. `bytes` and `seconds` say what
/// a training with these settings takes.
pub(super) fn ladder(
    asked: &TrainSettings,
    free: u64,
    bytes: impl Fn(&TrainSettings) -> u64,
    seconds: impl Fn(&TrainSettings) -> f64,
) -> Vec<Rung> {
    let mut rungs = vec![rung(
        asked.clone(),
        "As set.".to_owned(),
        free,
        &bytes,
        &seconds,
    )];
    let mut settings = asked.clone();
    let mut add = |settings: &TrainSettings, words: String| {
        rungs.push(rung(settings.clone(), words, free, &bytes, &seconds));
    };
    if !settings.recompute {
        settings.recompute = true;
        add(
            &settings,
            "Computes part of each pass twice instead of remembering it: the same result, about a third slower.".to_owned(),
        );
    }
    while settings.batch > 1 {
        let before = settings.batch * settings.accumulate;
        settings.batch /= 2;
        settings.accumulate = before.div_ceil(settings.batch);
        add(
            &settings,
            format!(
                "{} at a time, {} times a step: steps of the same size, a little slower.",
                rows(settings.batch),
                settings.accumulate
            ),
        );
    }
    while settings.max_length / 2 >= SHORTEST_ROW {
        settings.max_length /= 2;
        settings.chunk_words = (settings.chunk_words / 2).max(30);
        add(
            &settings,
            format!(
                "Texts in pieces of {} tokens: less of how they hang together is learned.",
                settings.max_length
            ),
        );
    }
    let narrow = ["q", "v"].map(str::to_owned);
    if settings.targets.iter().any(|t| !narrow.contains(t)) {
        settings.targets = narrow.to_vec();
        add(
            &settings,
            "Changes two kinds of weights in every layer instead of all: a weaker voice."
                .to_owned(),
        );
    }
    if settings.rank > 4 {
        // Alpha follows, so that the change is as strong as it was.
        settings.alpha *= 4.0 / f64::from(settings.rank);
        settings.rank = 4;
        add(
            &settings,
            "A smaller addition (rank 4): less room to learn in.".to_owned(),
        );
    }
    rungs
}

fn rung(
    settings: TrainSettings,
    words: String,
    free: u64,
    bytes: &impl Fn(&TrainSettings) -> u64,
    seconds: &impl Fn(&TrainSettings) -> f64,
) -> Rung {
    let needed = bytes(&settings);
    Rung {
        words,
        needed_bytes: needed,
        seconds: seconds(&settings),
        // Where nobody says how much is free, nothing is held against it.
        fits: free == 0 || needed <= free,
        settings,
    }
}

fn rows(n: u32) -> String {
    match n {
        1 => "One row".to_owned(),
        n => format!("{n} rows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anything that grows with what the rungs shrink.
    fn bytes(s: &TrainSettings) -> u64 {
        let kept = if s.recompute { 1 } else { 10 };
        u64::from(s.batch * s.max_length) * kept + s.targets.len() as u64 * u64::from(s.rank)
    }

    fn seconds(s: &TrainSettings) -> f64 {
        if s.recompute { 4.0 } else { 3.0 }
    }

    #[test]
    fn every_rung_needs_less_than_the_one_above_and_says_what_it_costs() {
        let asked = TrainSettings {
            batch: 4,
            ..TrainSettings::default()
        };
        let rungs = ladder(&asked, 300, bytes, seconds);
        assert_eq!(rungs[0].settings, asked, "what was asked for comes first");
        assert!(
            rungs
                .windows(2)
                .all(|pair| pair[1].needed_bytes < pair[0].needed_bytes)
        );
        let unique: std::collections::HashSet<_> = rungs.iter().map(|r| &r.words).collect();
        assert_eq!(unique.len(), rungs.len());
        let first = rungs.iter().find(|r| r.fits).unwrap();
        assert_eq!(
            (
                first.settings.recompute,
                first.settings.batch,
                first.settings.accumulate
            ),
            (true, 1, 4),
            "the first that fits costs least; the step is as large as before"
        );
        let last = rungs.last().unwrap();
        assert_eq!((last.settings.rank, last.settings.alpha), (4, 8.0));
        assert_eq!(last.settings.targets, ["q", "v"]);
    }

    #[test]
    fn the_lowest_settings_have_one_rung_and_an_unknown_memory_fits_all() {
        let lowest = TrainSettings {
            recompute: true,
            batch: 1,
            max_length: 128,
            targets: vec!["q".into()],
            rank: 4,
            ..TrainSettings::default()
        };
        assert_eq!(ladder(&lowest, 1, bytes, seconds).len(), 1);
        let odd = TrainSettings {
            batch: 3,
            accumulate: 2,
            ..lowest
        };
        let rungs = ladder(&odd, 0, bytes, seconds);
        assert_eq!(
            (rungs[1].settings.batch, rungs[1].settings.accumulate),
            (1, 6)
        );
        assert!(rungs.iter().all(|r| r.fits));
    }
}
