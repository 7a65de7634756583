//! Agreement with other tools on real corpora, which are not part of the project: these run only where the environment
//! variable IDIOLECT_DATA names the folder that has `corpora/` and `oracles/` in it.

use std::path::PathBuf;

use serde_json::Value;

use crate::analysis::Analysis;
use crate::corpora::{Row, read_corpus};
use crate::delta::{Delta, Distance, Options, Standardise};
use crate::lexical;
use crate::readability::Counts;

fn data() -> Option<PathBuf> {
    let dir = std::env::var_os("IDIOLECT_DATA").map(PathBuf::from);
    if dir.is_none() {
        eprintln!("skipped: set IDIOLECT_DATA");
    }
    dir
}

fn oracle(data: &std::path::Path, name: &str) -> Value {
    let text =
        std::fs::read_to_string(data.join("oracles").join(name)).expect("the oracle can be read");
    serde_json::from_str(&text).expect("the oracle is JSON")
}

fn number(row: &Value, tool: &str, name: &str) -> f64 {
    row[tool][name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {tool} {name}"))
}

fn text_of(rows: &[Row], row: &Value) -> String {
    let (author, id) = (
        row["author"].as_str().unwrap_or(""),
        row["id"].as_str().unwrap_or(""),
    );
    rows.iter()
        .find(|r| r.author == author && r.id == id)
        .map(|r| r.text.clone())
        .expect("the corpus has the text")
}

/// lexicalrichness' words: digits and dashes dropped, other ASCII marks a blank, lower case.
fn richness_words(text: &str) -> Vec<String> {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_digit() && !matches!(c, '-' | '–' | '—'))
        .map(|c| if c.is_ascii_punctuation() { ' ' } else { c })
        .collect();
    kept.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn readability_and_diversity_agree_with_other_tools() {
    let Some(data) = data() else { return };
    let oracle = oracle(&data, "readability_lexical.json");
    let rows = oracle["rows"].as_array().expect("rows");
    let mut syllable_ratio = Vec::new();
    let mut compared = 0;
    for row in rows {
        let corpus = read_corpus(&data, row["corpus"].as_str().expect("a corpus"))
            .expect("the corpus can be read");
        let text = text_of(&corpus, row);
        let words = richness_words(&text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let lexical = |name: &str| number(row, "lexicalrichness", name);
        assert_eq!(
            words.len() as f64,
            lexical("words"),
            "{} {}: the same words go in",
            row["author"],
            row["id"]
        );
        for (name, got) in [
            ("ttr", lexical::type_token_ratio(&words)),
            ("mattr50", lexical::mattr(&words, 50)),
            ("mtld", lexical::mtld(&words)),
            ("hdd42", lexical::hdd(&words, 42)),
            ("yulek", lexical::yule_k(&words)),
        ] {
            // The tool gives no figure for texts shorter than its window.
            let Some(want) = row["lexicalrichness"][name].as_f64() else {
                continue;
            };
            compared += 1;
            assert!(
                (got - want).abs() <= 1e-9 * want.abs().max(1.0),
                "{name} of {}: got {got}, want {want}",
                row["id"]
            );
        }
        // textstat rounds the ratios before it uses them, so the same rounded ratios go in here.
        let stat = |name: &str| number(row, "textstat", name);
        let round = |v: f64, digits: i32| (v * 10f64.powi(digits)).round() / 10f64.powi(digits);
        let (w, s) = (stat("lexicon_count"), stat("sentence_count"));
        let ratios = |digits: i32| Counts {
            words: 1.0,
            sentences: 1.0 / round(w / s, digits),
            syllables: round(stat("syllable_count") / w, digits),
            characters: round(stat("char_count") / w, digits),
            letters: 0.0,
            polysyllables: 0.0,
        };
        let smog = Counts {
            sentences: s,
            polysyllables: stat("polysyllabcount"),
            ..Counts::default()
        };
        let coleman = Counts {
            words: 1.0,
            letters: round(round(stat("letter_count") / w, 2) * 100.0, 2) / 100.0,
            sentences: round(round(s / w, 2) * 100.0, 2) / 100.0,
            ..Counts::default()
        };
        for (name, got, tolerance) in [
            (
                "flesch_reading_ease",
                ratios(1).flesch_reading_ease(),
                0.006,
            ),
            (
                "flesch_kincaid_grade",
                ratios(1).flesch_kincaid_grade(),
                0.051,
            ),
            (
                "automated_readability_index",
                ratios(2).automated_readability_index(),
                0.051,
            ),
            ("smog_index", smog.smog(), 0.051),
            // textstat multiplies letters by 5.8 where the paper has 5.88.
            (
                "coleman_liau_index",
                coleman.coleman_liau() - 0.08 * coleman.letters,
                0.006,
            ),
        ] {
            let want = stat(name);
            assert!(
                (got - want).abs() <= tolerance,
                "{name} of {}: got {got}, want {want}",
                row["id"]
            );
        }
        let own = Counts::of(&Analysis::new(&text));
        syllable_ratio.push(own.syllables / own.words / (stat("syllable_count") / w));
    }
    assert!(
        compared > 4 * rows.len(),
        "only {compared} diversity figures were compared"
    );
    let mean = crate::stats::mean(&syllable_ratio);
    eprintln!("syllables a word, ours over textstat's: mean {mean:.3}, texts {syllable_ratio:.3?}");
    // textstat counts hyphenation points, which misses one syllable in twelve by a pronouncing dictionary.
    assert!(
        (1.0..1.15).contains(&mean),
        "our syllable counter is off: {mean}"
    );
}

/// faststylometry's words: apostrophes dropped, tokens with a digit dropped, pronouns dropped; for the vocabulary it
/// also wants two letters or more, which is said to Delta by what it is allowed to use. The
/// oracle took the papers with their `<Q>` and `<d>` markers, so they stay here.
fn stylometry_words(text: &str) -> Vec<String> {
    const PRONOUNS: &str = "he her hers herself him himself his i me mine my myself our ours ourselves she thee their them \
        themselves they thou thy thyself us we ye you your yours yourself";
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !matches!(c, '\'' | '’'))
        .collect();
    kept.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|w| !w.is_empty() && !w.chars().any(|c| c.is_ascii_digit()))
        .filter(|w| !PRONOUNS.split(' ').any(|p| p == *w))
        .map(str::to_owned)
        .collect()
}

#[test]
fn delta_agrees_with_faststylometry_on_the_federalist() {
    let Some(data) = data() else { return };
    let oracle = oracle(&data, "delta_federalist.json");
    let authors = ["hamilton", "jay", "madison"];
    let rows = read_corpus(&data, "federalist").expect("the corpus can be read");
    let train: Vec<(usize, Vec<String>)> = authors
        .iter()
        .enumerate()
        .flat_map(|(a, name)| {
            rows.iter()
                .filter(move |r| r.author == **name)
                .map(move |r| (a, stylometry_words(&r.text)))
        })
        .collect();
    assert_eq!(train.len(), 70, "undisputed papers by one author");
    let mut worst = 0.0f64;
    for (size, papers) in oracle["deltas"]
        .as_object()
        .expect("deltas by vocabulary size")
    {
        let words: usize = size.parse().expect("a number of words");
        let options = Options {
            words,
            distance: Distance::Burrows,
            standardise: Standardise::Authors,
        };
        let delta = Delta::train_on_words(&train, options, |w| w.chars().count() > 1);
        for (paper, want) in papers.as_object().expect("papers") {
            let id = paper
                .trim_start_matches("disputed - ")
                .trim_end_matches(".txt");
            let text = &rows
                .iter()
                .find(|r| r.id == id)
                .expect("the paper is in the corpus")
                .text;
            let got = delta.distances(&stylometry_words(text));
            for (author, got) in authors.iter().zip(got) {
                let want = want[*author].as_f64().expect("a distance");
                worst = worst.max((got - want).abs());
                assert!(
                    (got - want).abs() < 2e-6,
                    "{size} words, {id}, {author}: got {got}, want {want}"
                );
            }
        }
    }
    eprintln!("largest difference {worst:.1e}");
}
