//! Meters of drafts that a training writes on its way: how close they are to the person's style, and how much of them
//! is copied from what it learns from. Style is measured on texts that it does not learn from, copying on those that it
//! does, so that learning texts by heart moves the second meter and not the first.

use crate::{
    features::{self, FeatureVector},
    fingerprint::{mean_vector, style_distance},
    leakage::{longest_common_run, ngram_overlap},
    reference::ReferenceStyle,
};

/// Words of the runs that [`Measured::copied_share`] counts. Runs this long are rarely common by chance.
pub const COPIED_RUN: usize = 8;

/// What the meters say of one draft.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// 0-1, 1 = as close to the held-out texts as they are to one another; absent with too little text on either side.
    pub style: Option<f64>,
    /// Longest run of words that stands in a training text.
    pub copied_words: usize,
    /// Share of the draft's runs of [`COPIED_RUN`] words that stand in a training text, 0-1.
    pub copied_share: f64,
}

/// Something that can read the meters of a draft.
pub trait Meters: Send + Sync {
    /// Reads them.
    fn measure(&self, draft: &str) -> Measured;

    /// Reads them of several drafts, of each and together.
    fn measure_all(&self, drafts: &[&str]) -> MeasuredDrafts;
}

/// What the meters say of several drafts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredDrafts {
    /// Of each, in order.
    pub each: Vec<Measured>,
    /// Of all: a style needs more text than one draft may have, so theirs is that of all of them; the longest copied run;
    /// the mean share.
    pub all: Measured,
}

/// Counted meters: the distance of counted habits, and words in common. No model is needed.
#[derive(Clone, Debug)]
pub struct CountedMeters {
    held_out: Option<FeatureVector>,
    training: Vec<String>,
}

impl CountedMeters {
    /// Style against `held_out`, copying from `training`.
    #[must_use]
    pub fn new(held_out: &[&str], training: &[&str]) -> Self {
        let vectors: Vec<_> = held_out.iter().map(|t| features::measure(t)).collect();
        Self {
            held_out: mean_vector(&vectors),
            training: training.iter().map(|t| (*t).to_owned()).collect(),
        }
    }

    fn style(&self, habits: &FeatureVector) -> Option<f64> {
        style_match(habits, self.held_out.as_ref()?)
    }

    fn measured(&self, draft: &str, habits: &FeatureVector) -> Measured {
        let training: Vec<&str> = self.training.iter().map(String::as_str).collect();
        Measured {
            style: self.style(habits),
            copied_words: longest_common_run(draft, &training).map_or(0, |run| run.words),
            copied_share: ngram_overlap(draft, &training, COPIED_RUN),
        }
    }
}

impl Meters for CountedMeters {
    fn measure(&self, draft: &str) -> Measured {
        self.measured(draft, &features::measure(draft))
    }

    fn measure_all(&self, drafts: &[&str]) -> MeasuredDrafts {
        let habits: Vec<_> = drafts.iter().map(|text| features::measure(text)).collect();
        let each: Vec<Measured> = (drafts.iter().zip(&habits))
            .map(|(draft, habits)| self.measured(draft, habits))
            .collect();
        let all = Measured {
            style: mean_vector(&habits).and_then(|mean| self.style(&mean)),
            copied_words: each.iter().map(|m| m.copied_words).max().unwrap_or(0),
            copied_share: each.iter().map(|m| m.copied_share).sum::<f64>()
                / each.len().max(1) as f64,
        };
        MeasuredDrafts { each, all }
    }
}

/// How close two texts are in style, 0-1; `None` where either is too short to say.
#[must_use]
pub fn style_match(a: &FeatureVector, b: &FeatureVector) -> Option<f64> {
    style_distance(a, b, ReferenceStyle::shipped())
        // A distance of 1 is usual between two texts of one writer.
        .map(|distance| if distance <= 1.0 { 1.0 } else { 1.0 / distance })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: &str = "It was a grey morning, and nobody in the house was in a hurry. The kettle had been left on the stove; \
        somebody, perhaps my aunt, had filled it in the night. We sat down without a word and waited. Outside, the lane was \
        being swept by a man whom I did not know. He worked slowly, and he seemed to enjoy it. When the kettle sang at last, \
        we made tea, which was what we had come for, and we drank it while the light came up over the yard.";
    const CALM_TOO: &str = "The ferry was late again, and the people on the quay had stopped asking. A woman beside me was reading \
        a letter, slowly, as if it had been written in a language that she was still learning. I had nothing to read; I \
        watched the water, which was as flat as a plate. Somebody said that there would be rain before the evening. It did \
        not matter to any of us, since we had nowhere to be, and the bench was dry, and the air was soft for the season.";
    const LOUD: &str = "Wow, what a day! You won't believe it! We got there at six and it's already packed! I don't know how \
        they do it! So I grab a coffee, right? And guess who's there! Ann! Can you believe that? She's been there since five! \
        We just laughed! Then the doors open and it's chaos! I lost my hat, I lost my phone, I even lost Ann! But it's fine! \
        We'll do it again next year! You should come! It'll be great! Promise me you'll come, okay?";

    #[test]
    fn style_is_measured_on_held_out_texts_and_copying_on_training_texts() {
        let meters = CountedMeters::new(&[CALM], &[LOUD]);
        let (own, other) = (meters.measure(CALM_TOO), meters.measure(LOUD));
        assert!(
            own.style > other.style && other.style.is_some(),
            "{own:?} {other:?}"
        );
        assert_eq!(own.copied_share, 0.0);
        assert_eq!(other.copied_share, 1.0, "every word was learned by heart");
        assert!(other.copied_words > 80 && own.copied_words < COPIED_RUN);
        // A draft that is a held-out text is close in style, and copied from nothing that is learned from.
        let held_out = meters.measure(CALM);
        assert_eq!((held_out.style, held_out.copied_share), (Some(1.0), 0.0));
    }

    #[test]
    fn too_little_text_has_no_style_and_several_drafts_have_one_together() {
        let meters = CountedMeters::new(&[CALM], &[LOUD]);
        let short = meters.measure("A few words.");
        assert_eq!(short.style, None);
        assert_eq!(
            CountedMeters::new(&[], &[]).measure(CALM),
            Measured::default()
        );
        let half = LOUD.len() / 2 + LOUD[LOUD.len() / 2..].find(' ').unwrap();
        let halves = [&LOUD[..half], &LOUD[half..]];
        assert_eq!(halves.map(|part| meters.measure(part).style), [None, None]);
        let all = meters.measure_all(&halves).all;
        assert!(all.style.is_some_and(|style| style < 1.0), "{all:?}");
        let all = meters.measure_all(&["A few words.", CALM, LOUD]).all;
        assert!((all.copied_share - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(meters.measure_all(&[]), MeasuredDrafts::default());
    }
}
