use super::*;
use crate::MemoryCache;
use idiolect_core::{ids::SampleId, reading::ReadingStatus};
use idiolect_llm::{
    Cancel, Embedder, LlmError,
    testing::{CountingModel, FakeModel},
};

/// Letters as directions: texts that share letters are close.
struct Letters;

impl Embedder for Letters {
    fn dimensions(&self) -> usize {
        26
    }
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> idiolect_llm::Result<Vec<Vec<f32>>> {
        cancel.check()?;
        Ok(texts
            .iter()
            .map(|t| {
                let mut v = [0.0f32; 26];
                for b in t.bytes().map(|b| b.to_ascii_lowercase()) {
                    if b.is_ascii_lowercase() {
                        v[usize::from(b - b'a')] += 1.0;
                    }
                }
                let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
                v.iter().map(|x| x / norm).collect()
            })
            .collect())
    }
}

const TEXT: &str = "I line up the tins and I know where each one stands. The list is on the door. \
    I plan the week on Sunday evening and I stick to it.";

#[test]
fn scores_are_relative_to_texts_that_say_nothing() {
    let (model, cache, cancel) = (CountingModel::new(), MemoryCache::default(), Cancel::new());
    let with = Instruments {
        model: &model,
        embedder: None,
        cache: &cache,
        cancel: &cancel,
    };
    let nothing = forward::contrasts(&with, "N/A", Scope::Everything).unwrap();
    let something = forward::contrasts(&with, TEXT, Scope::Everything).unwrap();
    let size = |v: &[Option<f64>]| v.iter().flatten().map(|x| x.abs()).sum::<f64>();
    assert!(
        size(&nothing) < size(&something),
        "a content-free text must score near zero: {} {}",
        size(&nothing),
        size(&something)
    );
    let interests: f64 = something[47..].iter().flatten().sum();
    assert!(
        interests.abs() < 1e-4,
        "interests are centred, sum {interests}"
    );
    for d in space() {
        assert_eq!(
            something[usize::from(d.index)].is_some(),
            !d.needs_object,
            "{}",
            d.id
        );
    }
}

#[test]
fn a_text_scored_once_is_not_scored_again_and_sensitive_dimensions_are_not_asked() {
    let (model, cache, cancel) = (CountingModel::new(), MemoryCache::default(), Cancel::new());
    let with = Instruments {
        model: &model,
        embedder: Some(&Letters),
        cache: &cache,
        cancel: &cancel,
    };
    let first = score_text(&with, TEXT, Scope::WithoutSensitive).unwrap();
    let asked = model.continuations();
    let again = score_text(&with, TEXT, Scope::WithoutSensitive).unwrap();
    assert_eq!(model.continuations(), asked, "the cache answers");
    for (a, b) in first
        .forward
        .iter()
        .chain(&first.channel)
        .zip(again.forward.iter().chain(&again.channel))
    {
        assert_eq!(a.is_some(), b.is_some());
        // The cache holds f32.
        assert!(
            a.zip(*b)
                .is_none_or(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0)),
            "{a:?} {b:?}"
        );
    }
    for d in space().iter().filter(|d| d.sensitive) {
        let i = usize::from(d.index);
        assert_eq!(
            (first.forward[i], first.channel[i]),
            (None, None),
            "{}",
            d.id
        );
    }
    assert!(
        first.channel.iter().any(Option::is_some),
        "the channel spoke"
    );
    assert!(
        first.channel[47..].iter().all(Option::is_none),
        "the channel leaves interests alone"
    );
    let all = score_text(&with, TEXT, Scope::Everything).unwrap();
    assert!(all.forward[2].is_some(), "turned on, neuroticism is asked");
}

#[test]
fn a_reading_has_all_ninety_with_their_reasons() {
    let (model, cache, cancel) = (CountingModel::new(), MemoryCache::default(), Cancel::new());
    let with = Instruments {
        model: &model,
        embedder: None,
        cache: &cache,
        cancel: &cancel,
    };
    let ids: Vec<SampleId> = (1..=3).map(SampleId::from_random).collect();
    let texts = [TEXT, "The rain stopped at noon. We went out.", ""];
    let passages: Vec<Passage<'_>> = ids
        .iter()
        .zip(texts)
        .map(|(id, text)| Passage { id, text })
        .collect();
    let mut steps = Vec::new();
    let readings = read(&with, &passages, &Person::default(), &mut |p| steps.push(p)).unwrap();
    assert_eq!(readings.len(), 90);
    assert!(
        steps.iter().any(|p| p.unit == "samples" && p.total == 2),
        "{steps:?}"
    );
    for (r, d) in readings.iter().zip(space()) {
        assert_eq!(r.id, d.id);
        assert!(
            r.interval.low <= r.score && r.score <= r.interval.high,
            "{r:?}"
        );
        assert!((-1.0..=1.0).contains(&r.score));
        match r.status {
            ReadingStatus::Off => assert!(d.sensitive),
            ReadingStatus::NeedsObject => assert!(d.needs_object),
            ReadingStatus::Known => panic!("{}: nothing was measured on this model", r.id),
            ReadingStatus::NotEnoughEvidence => {
                assert!(!r.note.is_empty(), "{}: the person is told why", r.id);
                assert_eq!(r.direction, 0);
            }
        }
        for e in &r.evidence {
            let i = ids.iter().position(|id| *id == e.span.sample).unwrap();
            assert_eq!(&texts[i][e.span.start..e.span.end], e.span.text);
        }
    }
    let person = &readings[23];
    let reply = &readings[46];
    assert!(
        reply.effective_evidence < person.effective_evidence,
        "writing says less about a wanted reply: {} {}",
        reply.effective_evidence,
        person.effective_evidence
    );
    let described = read(
        &with,
        &passages,
        &Person {
            self_description: "I like things neat.",
            ..Person::default()
        },
        &mut |_| {},
    )
    .unwrap();
    let gain = described[46].effective_evidence - reply.effective_evidence;
    assert!((gain - SELF_DESCRIPTION_WEIGHT).abs() < 1e-9, "got {gain}");
}

#[test]
fn evidence_quotes_the_sentences_and_its_weights_sum_to_one() {
    let (model, cache, cancel) = (CountingModel::new(), MemoryCache::default(), Cancel::new());
    let with = Instruments {
        model: &model,
        embedder: Some(&Letters),
        cache: &cache,
        cancel: &cancel,
    };
    let id = SampleId::from_random(1);
    let padded = format!("  \n{TEXT}");
    let passages = [Passage {
        id: &id,
        text: &padded,
    }];
    let scores = [
        score_text(&with, TEXT, Scope::Everything).unwrap(),
        score_text(&with, "Nothing of the kind.", Scope::Everything).unwrap(),
    ];
    let calibration = Calibration::measured(scores.iter());
    let mut readings: Vec<Reading> = space().iter().map(aggregate::blank).collect();
    readings[23].status = ReadingStatus::Known;
    readings[23].direction = 1;
    readings[23].score = 0.7;
    evidence::find(&with, &passages, &calibration, &mut readings, &mut |_| {}).unwrap();
    let found = &readings[23].evidence;
    assert_eq!(found.len(), 3, "three sentences: {found:?}");
    let total: f64 = found.iter().map(|e| e.weight.abs()).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    assert!(found.is_sorted_by(|a, b| a.weight.abs() >= b.weight.abs()));
    for e in found {
        assert_eq!(
            &padded[e.span.start..e.span.end],
            e.span.text,
            "offsets are of the whole text"
        );
    }
    assert!(
        readings[24].evidence.is_empty(),
        "unknown dimensions get none"
    );
}

#[test]
fn a_stopped_reading_says_so() {
    let (model, cache, cancel) = (CountingModel::new(), MemoryCache::default(), Cancel::new());
    cancel.cancel();
    let with = Instruments {
        model: &model,
        embedder: None,
        cache: &cache,
        cancel: &cancel,
    };
    let id = SampleId::from_random(1);
    let passages = [Passage {
        id: &id,
        text: TEXT,
    }];
    let result = read(&with, &passages, &Person::default(), &mut |_| {});
    assert!(
        matches!(result, Err(crate::PersonaError::Model(LlmError::Cancelled))),
        "{result:?}"
    );
}

#[test]
fn the_window_ends_with_a_sentence() {
    let model = FakeModel::new();
    // The fake model's tokens are bytes.
    let text = "This is one sentence of some length. ".repeat(20);
    let cut = window::first_sentences(&model, &text).unwrap();
    assert!(
        cut.len() <= window::WINDOW_TOKENS && cut.ends_with('.'),
        "{cut}"
    );
    let endless = "word ".repeat(100);
    let cut = window::first_sentences(&model, &endless).unwrap();
    assert!(
        (150..=window::WINDOW_TOKENS).contains(&cut.len()),
        "{} bytes",
        cut.len()
    );
    assert_eq!(window::first_sentences(&model, "  ").unwrap(), "");
}
