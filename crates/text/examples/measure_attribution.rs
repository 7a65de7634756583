//! Accuracy of the attributor on known corpora, how well claims hold on unseen texts, how well the style distance
//! tells writers apart, and the speed of a fingerprint.
//!
//! `cargo run --release -p idiolect-text --example measure_attribution -- --data ../shared`

mod common;

use std::time::Instant;

use common::{Row, read_corpus};
use idiolect_core::ids::SampleId;
use idiolect_text::attribution::{Attributor, Recipe};
use idiolect_text::claims::{Standing, claims};
use idiolect_text::reference::{Measured, Register};
use idiolect_text::{FeatureVector, ReferenceStyle, fingerprint, measure, stats, style_distance};

const RECIPES: [(&str, Recipe); 4] = [
    ("fusion", Recipe::FUSION),
    ("characters", Recipe::CHARACTERS),
    ("words", Recipe::WORDS),
    ("features", Recipe::FEATURES),
];

fn main() -> Result<(), common::Failure> {
    let data = common::data_dir()?;
    let cmcc = read_corpus(&data, "cmcc21")?;
    let ccat = read_corpus(&data, "ccat50")?;
    let (train, test): (Vec<&Row>, Vec<&Row>) = ccat
        .iter()
        .partition(|r| r.split.as_deref() == Some("train"));
    speed(&ccat);
    claims_hold(&train, &test);
    distance_tells(&cmcc);
    let mut topics: Vec<&str> = cmcc.iter().filter_map(|r| r.topic.as_deref()).collect();
    topics.sort_unstable();
    topics.dedup();
    for (name, recipe) in RECIPES {
        let (mut right, mut all) = (0, 0);
        for topic in &topics {
            let (test, train): (Vec<&Row>, Vec<&Row>) =
                cmcc.iter().partition(|r| r.topic.as_deref() == Some(topic));
            let (r, n) = accuracy(&train, &test, recipe);
            right += r;
            all += n;
        }
        println!(
            "cmcc21, leave topic out, {name}: {right} of {all} = {:.1} %",
            100.0 * right as f64 / all as f64
        );
    }
    for (name, recipe) in RECIPES {
        let start = Instant::now();
        let (right, all) = accuracy(&train, &test, recipe);
        println!(
            "ccat50, published split, {name}: {right} of {all} = {:.1} % in {:.1} s",
            100.0 * right as f64 / all as f64,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn accuracy(train: &[&Row], test: &[&Row], recipe: Recipe) -> (usize, usize) {
    let mut authors: Vec<&str> = train.iter().map(|r| r.author.as_str()).collect();
    authors.sort_unstable();
    authors.dedup();
    let index = |r: &Row| authors.iter().position(|a| *a == r.author);
    let texts: Vec<(usize, &str)> = train
        .iter()
        .filter_map(|r| Some((index(r)?, r.text.as_str())))
        .collect();
    let model = Attributor::train_with(&texts, recipe);
    let right = test
        .iter()
        .filter(|r| model.rank(&r.text).first().copied() == index(r))
        .count();
    (right, test.len())
}

/// Claims from k training texts of each author of one half, with the other half as reference; tested on the author's
/// 50 test texts against the test texts of the other authors of the half.
fn claims_hold(train: &[&Row], test: &[&Row]) {
    let vectors = |rows: &[&Row]| rows.iter().map(|r| measure(&r.text)).collect::<Vec<_>>();
    let (train_vectors, test_vectors) = (vectors(train), vectors(test));
    let mut authors: Vec<&str> = train.iter().map(|r| r.author.as_str()).collect();
    authors.sort_unstable();
    authors.dedup();
    let references: Vec<ReferenceStyle> = (0..2)
        .map(|half| {
            let background: Vec<Measured<'_>> = train
                .iter()
                .zip(&train_vectors)
                .filter(|(r, _)| {
                    authors
                        .iter()
                        .position(|a| *a == r.author)
                        .is_some_and(|i| i % 2 != half)
                })
                .map(|(r, v)| Measured {
                    writer: &r.author,
                    register: Register::News,
                    vector: v.clone(),
                })
                .collect();
            ReferenceStyle::from_measured(&background)
        })
        .collect();
    for k in [3, 5, 10, 20] {
        let (mut made, mut same, mut confirmed, mut refuted) = (0u32, 0usize, 0usize, 0usize);
        for (i, author) in authors.iter().enumerate() {
            // Spread over what the author wrote: neighbours in the file are often of one story.
            let own: Vec<FeatureVector> = train
                .iter()
                .zip(&train_vectors)
                .filter(|(r, _)| r.author == *author)
                .step_by(50 / k)
                .take(k)
                .map(|(_, v)| v.clone())
                .collect();
            for claim in claims(&own, &references[i % 2])
                .iter()
                .filter(|c| c.standing == Standing::Supported)
            {
                let values = |wanted: bool| {
                    test.iter()
                        .zip(&test_vectors)
                        .filter(|(r, _)| {
                            authors
                                .iter()
                                .position(|a| *a == r.author)
                                .is_some_and(|j| j % 2 == i % 2)
                        })
                        .filter(|(r, _)| (r.author == *author) == wanted)
                        .map(|(_, v)| v.values[claim.position] * f64::from(claim.direction))
                        .collect::<Vec<f64>>()
                };
                let (own, others) = (values(true), values(false));
                let auc = stats::auc(&own, &others);
                let interval = stats::auc_interval(auc, own.len(), others.len());
                made += 1;
                same += usize::from(auc > 0.5);
                confirmed += usize::from(interval.low > 0.5);
                refuted += usize::from(interval.high < 0.5);
            }
        }
        let share = |n: usize| 100.0 * n as f64 / f64::from(made.max(1));
        println!(
            "ccat50 claims, k {k}: {:.1} supported an author; same sign {:.0} %, interval above chance {:.0} %, refuted {:.1} %",
            f64::from(made) / authors.len() as f64,
            share(same),
            share(confirmed),
            share(refuted)
        );
    }
}

/// AUC of the style distance for pairs of one writer against pairs of two, other topics and the same genre.
fn distance_tells(rows: &[Row]) {
    let rows: Vec<(&Row, FeatureVector)> = rows.iter().map(|r| (r, measure(&r.text))).collect();
    let reference = ReferenceStyle::shipped();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (i, (a, va)) in rows.iter().enumerate() {
        for (b, vb) in &rows[i + 1..] {
            if a.topic != b.topic
                && a.genre == b.genre
                && let Some(d) = style_distance(va, vb, reference)
            {
                if a.author == b.author {
                    own.push(d)
                } else {
                    others.push(d)
                }
            }
        }
    }
    println!(
        "cmcc21 style distance, other topic, same genre: own {:.2}, others {:.2}, AUC {:.3}",
        stats::mean(&own),
        stats::mean(&others),
        1.0 - stats::auc(&own, &others)
    );
}

fn speed(rows: &[Row]) {
    let mut words = 0;
    let samples: Vec<(SampleId, &str)> = rows
        .iter()
        .take_while(|r| {
            words += measure(&r.text).words;
            words < 20_500
        })
        .map(|r| (SampleId::from(r.id.as_str()), r.text.as_str()))
        .collect();
    let reference = ReferenceStyle::shipped();
    let start = Instant::now();
    let print = fingerprint(&samples, reference);
    println!(
        "fingerprint of {} words in {} samples: {:.0} ms",
        print.words,
        print.samples,
        start.elapsed().as_secs_f64() * 1e3
    );
    let text = samples
        .iter()
        .find(|(_, t)| (480..520).contains(&measure(t).words))
        .map_or(samples[0].1, |s| s.1);
    let start = Instant::now();
    for _ in 0..100 {
        std::hint::black_box(measure(std::hint::black_box(text)));
    }
    println!(
        "features of {} words: {:.2} ms",
        measure(text).words,
        start.elapsed().as_secs_f64() * 10.0
    );
}
