//! Tests of the store: real files in temporary folders, seeded values, other processes where it matters.

use std::{path::Path, sync::Mutex};

use idiolect_core::{
    Interval,
    adapter::{Adapter, AdapterReport, LossPoint, Run, RunStatus, TrialDraft},
    draft::{AdapterUse, Draft, Ingredient, Meters, Sampling, Thumb},
    fingerprint::Span,
    hypothesis::{Category, Hypothesis, HypothesisStatus, Support},
    ids::{AdapterId, DraftId, HypothesisId, PairId, ProfileId, RunId, SampleId},
    profile::Intent,
    reading::{Evidence, Reading, ReadingStatus},
    sample::{Removal, RemovalKind, Sample, SampleKind},
    space,
    training::{Objective, TrainSettings},
};
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{Opened, Setup, Store};

mod align;
mod errors;
mod homes;
mod inferred;
mod lineage;
mod processes;
mod round_trips;
mod sharing;

/// A clock that moves one second a look, and seeded randomness.
fn setup(seed: u64) -> Setup {
    let looks = Mutex::new(0i64);
    let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let rng = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
    Setup {
        clock: Box::new(move || {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            start + SignedDuration::from_secs(*looks)
        }),
        random: Box::new(move || Ok(rng.lock().unwrap().random())),
        ..Setup::default()
    }
}

fn open(home: &Path, seed: u64) -> Opened {
    Store::open_with(home, setup(seed)).unwrap()
}

/// A fresh home with one profile.
fn home_with_profile() -> (tempfile::TempDir, Store, ProfileId) {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), 1).store;
    let profile = store.new_profile("My letters").unwrap().id;
    (home, store, profile)
}

/// Random values of every stored type, with texts that are awkward on purpose.
struct Make(ChaCha8Rng);

impl Make {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "plain words",
            " ",
            "“quoted”",
            "it's",
            "\"",
            "\n\n",
            "ünïcode",
            "日本",
            "👩‍🚀",
            "%_;--",
            "\u{0}",
            "\t",
            "NULL",
            "{\"a\":1}",
        ];
        let n = self.0.random_range(0..12);
        (0..n)
            .map(|_| *PIECES.choose(&mut self.0).unwrap())
            .collect()
    }

    /// Finite, of any size and with all its bits in use.
    fn number(&mut self) -> f64 {
        let exponent = self.0.random_range(-30..30);
        (self.0.random::<f64>() - 0.5) * 10f64.powi(exponent)
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.random::<bool>().then(|| make(self))
    }

    fn list<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.0.random_range(0..5)).map(|_| make(self)).collect()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(&mut self.0).unwrap()
    }

    fn interval(&mut self) -> Interval {
        Interval::new(self.number(), self.number())
    }

    fn span(&mut self) -> Span {
        Span {
            sample: SampleId::from_random(self.0.random()),
            start: self.0.random_range(0..1000),
            end: self.0.random_range(1000..2000),
            text: self.text(),
        }
    }

    fn sample(&mut self, profile: &ProfileId) -> Sample {
        let mark: u64 = self.0.random();
        Sample {
            id: SampleId::from(""),
            profile: profile.clone(),
            kind: self.pick(&[
                SampleKind::Pasted,
                SampleKind::Document,
                SampleKind::Email,
                SampleKind::Chat,
                SampleKind::Edited,
            ]),
            title: self.text(),
            text: format!("{mark} {}", self.text()),
            prompt: self.maybe(Self::text),
            words: self.0.random(),
            language: self.pick(&["en", "de", "und"]).to_owned(),
            written_at: self.maybe(|_| "2024-05-06T07:08:09+02:00".to_owned()),
            added_at: String::new(),
            removed: self.list(|make| Removal {
                kind: make.pick(&[
                    RemovalKind::QuotedReply,
                    RemovalKind::Signature,
                    RemovalKind::Forwarded,
                    RemovalKind::Boilerplate,
                    RemovalKind::NotProse,
                ]),
                start: make.0.random_range(0..100),
                end: make.0.random_range(100..200),
                text: make.text(),
            }),
            note: self.text(),
        }
    }

    /// A reading of dimension `index` with the direction its interval implies.
    fn reading(&mut self, index: u8) -> Reading {
        let dimension = &space::space()[index as usize];
        let low: f64 = self.0.random_range(-1.0..1.0);
        let high = self.0.random_range(low..=1.0);
        let status = self.pick(&[
            ReadingStatus::Known,
            ReadingStatus::NotEnoughEvidence,
            ReadingStatus::Off,
            ReadingStatus::NeedsObject,
        ]);
        Reading {
            id: dimension.id.clone(),
            index,
            subject: dimension.subject,
            status,
            score: (low + high) / 2.0,
            interval: Interval::new(low, high),
            effective_evidence: self.number(),
            direction: match status {
                ReadingStatus::Known => i8::from(low > 0.0) - i8::from(high < 0.0),
                _ => 0,
            },
            override_score: None,
            object: None,
            evidence: self.list(|make| Evidence {
                span: make.span(),
                weight: make.number(),
            }),
            note: self.text(),
        }
    }

    fn support(&mut self, feature: &str, direction: i8) -> Support {
        Support {
            feature: feature.to_owned(),
            direction,
            value: self.number(),
            others: self.number(),
            unit: self.text(),
            share: self.0.random(),
            texts: self.0.random(),
            auc: self.0.random(),
            auc_interval: self.interval(),
            held_out: self.0.random(),
        }
    }

    fn hypothesis(&mut self, support: Option<Support>) -> Hypothesis {
        Hypothesis {
            id: HypothesisId::from(""),
            category: self.pick(&[
                Category::Communication,
                Category::Personality,
                Category::Style,
            ]),
            statement: self.text(),
            instruction: self.text(),
            evidence: self.list(Self::span),
            status: self.pick(&[
                HypothesisStatus::Proposed,
                HypothesisStatus::Supported,
                HypothesisStatus::Refuted,
            ]),
            support,
        }
    }

    fn draft(&mut self, profile: &ProfileId) -> Draft {
        let method = self.pick(&["base", "dimensions", "hypotheses+excerpts"]);
        Draft {
            id: DraftId::from(""),
            profile: profile.clone(),
            intent: self.pick(&[Intent::AsMe, Intent::ForMe]),
            method: method.parse().unwrap(),
            brief: self.text(),
            prompt: self.text(),
            text: self.text(),
            tokens: self.0.random(),
            prompt_tokens: self.0.random(),
            seconds: self.number(),
            tokens_per_second: self.number(),
            sampling: Sampling {
                temperature: self.number(),
                seed: self.0.random(),
                stop: self.list(Self::text),
                ..Sampling::default()
            },
            model: self.text(),
            adapter: self.maybe(Self::adapter_use),
            other_adapters: self.list(Self::adapter_use),
            ended: self.pick(&["stop", "length", "cancelled"]).to_owned(),
            meters: Meters {
                style_match: self.maybe(Self::number),
                longest_copied_words: self.0.random(),
                copied: self.text(),
                hypotheses_met: self.0.random(),
                hypotheses_checked: self.0.random(),
            },
            kept: self.0.random(),
            edited: self.maybe(Self::text),
            thumb: self.maybe(|make| make.pick(&[Thumb::Up, Thumb::Down])),
            created_at: String::new(),
        }
    }

    fn adapter_use(&mut self) -> AdapterUse {
        AdapterUse {
            id: AdapterId::from_random(self.0.random()),
            scale: self.number(),
            contrast: self.number(),
        }
    }

    fn objective(&mut self) -> Objective {
        self.pick(&[
            Objective::Sft,
            Objective::Dpo,
            Objective::Orpo,
            Objective::Kto,
            Objective::Ditto,
        ])
    }

    fn run(&mut self, profile: &ProfileId) -> Run {
        Run {
            id: RunId::from(""),
            profile: profile.clone(),
            model: self.text(),
            objective: self.objective(),
            settings: TrainSettings {
                learning_rate: self.number(),
                seed: self.0.random(),
                targets: self.list(Self::text),
                ..TrainSettings::default()
            },
            samples: self.list(|make| SampleId::from_random(make.0.random())),
            votes: self.list(|make| PairId::from_random(make.0.random())),
            drafts: self.list(|make| DraftId::from_random(make.0.random())),
            parent: self.maybe(|make| AdapterId::from_random(make.0.random())),
            status: self.pick(&[
                RunStatus::Running,
                RunStatus::Paused,
                RunStatus::Finished,
                RunStatus::Stopped,
                RunStatus::Cancelled,
                RunStatus::CutShort,
                RunStatus::Failed,
            ]),
            message: self.text(),
            curve: (0..self.0.random_range(0..20))
                .map(|step| LossPoint {
                    step,
                    loss: self.maybe(Self::number),
                    held_out: self.maybe(Self::number),
                    style: self.maybe(Self::number),
                    copied: self.maybe(Self::number),
                    margin: self.maybe(Self::number),
                    accuracy: self.maybe(Self::number),
                })
                .collect(),
            trials: (0..self.0.random_range(0..6))
                .map(|number| TrialDraft {
                    step: number / 2,
                    brief: self.text(),
                    text: self.text(),
                    copied_words: self.0.random_range(0..100),
                    copied: self.number(),
                })
                .collect(),
            tokens_per_second: self.number(),
            peak_bytes: self.0.random(),
            seconds: self.number(),
            adapter: None,
            resumable: false,
            started_at: String::new(),
        }
    }

    fn adapter(&mut self, run: &Run) -> Adapter {
        Adapter {
            id: AdapterId::from(""),
            profile: run.profile.clone(),
            name: self.text(),
            model: self.text(),
            model_sha256: self.text(),
            run: Some(run.id.clone()),
            objective: self.maybe(Self::objective),
            method: self.pick(&["base", "hypotheses+excerpts"]).parse().unwrap(),
            samples: run.samples.clone(),
            samples_gone: 0,
            votes: run.votes.clone(),
            votes_gone: 0,
            drafts: run.drafts.clone(),
            drafts_gone: 0,
            parents: self.list(|make| AdapterId::from_random(make.0.random())),
            imported: self.maybe(Self::text),
            retired_at: self.maybe(|_| "2026-03-04T05:06:07.000Z".to_owned()),
            report: self.maybe(Self::report),
            rank: self.0.random(),
            alpha: self.number(),
            base_held_out: self.maybe(Self::number),
            own_held_out: self.maybe(Self::number),
            bytes: self.0.random(),
            created_at: String::new(),
        }
    }

    fn report(&mut self) -> AdapterReport {
        AdapterReport {
            texts: self.0.random(),
            tokens: self.0.random(),
            bits_base: self.number(),
            bits_excerpts: self.maybe(Self::number),
            bits_own: self.number(),
            wrong_author: self.text(),
            own_minus_base: self.maybe(Self::interval),
            win_rate: self.maybe(Self::number),
            notes: self.list(Self::text),
            ..AdapterReport::default()
        }
    }
}

/// A plain sample for tests that are about something else.
fn letter(profile: &ProfileId, text: &str) -> Sample {
    Sample {
        id: SampleId::from(""),
        profile: profile.clone(),
        kind: SampleKind::Pasted,
        title: "A letter".to_owned(),
        text: text.to_owned(),
        prompt: None,
        words: text.split_whitespace().count() as u32,
        language: "en".to_owned(),
        written_at: None,
        added_at: String::new(),
        removed: Vec::new(),
        note: String::new(),
    }
}

#[test]
fn the_generator_covers_every_ingredient_of_a_method() {
    // Guards the list above: a new ingredient must show up in the round trips.
    let all = "dimensions+hypotheses+excerpts"
        .parse::<idiolect_core::draft::Method>()
        .unwrap();
    for ingredient in [
        Ingredient::Dimensions,
        Ingredient::Hypotheses,
        Ingredient::Excerpts,
    ] {
        assert!(
            all.has(ingredient),
            "{ingredient:?} fell out of the spelling"
        );
    }
}
