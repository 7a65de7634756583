//! Computes `assets/dimension_calibration.json`: means, spreads and split-half reliabilities of all dimensions on the
//! default model, from corpora that stay outside the project. Only numbers are written.
//!
//! `cargo run -p idiolect-persona --example calibrate -- --data DIR --model FILE [--embedder DIR] --cache FILE --out FILE
//! [--texts 8] [--authors 11] [--reference 2]`
//!
//! cmcc21: the same seeded (genre, topic) cells of every author, so that what was written about does not tell authors
//! apart; reliabilities and the own-against-wrong-author margin come from these. A few texts of emails7 and techblogs
//! join them for means and spreads. Scores are kept in `--cache`, so an interrupted run goes on where it stopped.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use idiolect_core::space::{DIMENSIONS, space};
use idiolect_engine::{Engine, MiniLm};
use idiolect_llm::{Cancel, DeviceWish, Embedder, TextModel};
use idiolect_persona::{
    Cache, Instruments,
    calibration::{Calibration, CalibrationFile},
    dimensions::{Scope, TextScores, score_text},
    reliability::{profile_margin, reached_by_chance, split_half, without_cells},
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use sha2::{Digest, Sha256};

const SEED: u64 = 1;
const SPLITS: u32 = 100;

#[derive(Debug, Clone, Deserialize)]
struct Line {
    author: String,
    #[serde(default)]
    genre: String,
    #[serde(default)]
    topic: String,
    words: u32,
    text: String,
}

/// The lines of a file, whose hash goes into `read`.
fn lines(path: &Path, read: &mut Vec<String>) -> Result<Vec<Line>> {
    let packed =
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let digest = Sha256::digest(&packed);
    read.push(digest.iter().map(|b| format!("{b:02x}")).collect());
    BufReader::new(flate2::read::GzDecoder::new(packed.as_slice()))
        .lines()
        .map(|l| Ok(serde_json::from_str(&l?)?))
        .collect()
}

/// `n` seeded cells, the same for every author.
fn same_cells(lines: &[Line], n: usize) -> BTreeMap<String, Vec<Line>> {
    let mut cells: Vec<(String, String)> = lines
        .iter()
        .map(|l| (l.genre.clone(), l.topic.clone()))
        .collect();
    cells.sort();
    cells.dedup();
    cells.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    cells.truncate(n);
    let mut out: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by(|a, b| (&a.genre, &a.topic).cmp(&(&b.genre, &b.topic)));
    for line in lines {
        if cells.contains(&(line.genre.clone(), line.topic.clone())) {
            out.entry(line.author.clone())
                .or_default()
                .push(line.clone());
        }
    }
    out
}

/// `n` seeded texts of each author with enough words.
fn some(lines: Vec<Line>, n: usize) -> Vec<Line> {
    let mut by_author: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines.into_iter().filter(|l| l.words >= 75) {
        by_author.entry(line.author.clone()).or_default().push(line);
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    by_author
        .into_values()
        .flat_map(|mut texts| {
            texts.shuffle(&mut random);
            texts.truncate(n);
            texts
        })
        .collect()
}

/// Key, length, bytes, one after another in a file.
struct FileCache {
    map: Mutex<HashMap<String, Vec<u8>>>,
    file: Mutex<File>,
}

impl FileCache {
    fn open(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(path) {
            file.read_to_end(&mut bytes)?;
        }
        let mut map = HashMap::new();
        let mut rest = bytes.as_slice();
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let head = std::str::from_utf8(&rest[..end])?;
            let (key, length) = head.split_once('\t').context("the cache file is damaged")?;
            let length: usize = length.parse()?;
            let Some(value) = rest.get(end + 1..end + 1 + length) else {
                break;
            };
            map.insert(key.to_owned(), value.to_vec());
            rest = &rest[end + 1 + length..];
        }
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self {
            map: Mutex::new(map),
            file: Mutex::new(file),
        })
    }
}

impl Cache for FileCache {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.map.lock().ok()?.get(key).cloned()
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        if let (Ok(mut map), Ok(mut file)) = (self.map.lock(), self.file.lock()) {
            let mut record = format!("{key}\t{}\n", bytes.len()).into_bytes();
            record.extend(bytes);
            // A lost record is scored again.
            let _ = file.write_all(&record);
            map.insert(key.to_owned(), bytes.to_vec());
        }
    }
}

fn main() -> Result<()> {
    let mut arguments: HashMap<String, String> = HashMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        arguments.insert(name, value);
    }
    let path = |name: &str| -> Result<PathBuf> {
        Ok(arguments
            .get(name)
            .with_context(|| format!("{name} is missing"))?
            .into())
    };
    let texts_each: usize = arguments.get("--texts").map_or(Ok(8), |v| v.parse())?;
    let corpora = path("--data")?.join("corpora");
    let mut fitted_on = Vec::new();
    let cmcc = lines(&corpora.join("cmcc21.jsonl.gz"), &mut fitted_on)?;
    let mut authors = same_cells(&cmcc, texts_each);
    if let Some(most) = arguments.get("--authors") {
        authors = authors.into_iter().take(most.parse()?).collect();
    }
    if authors.len() < 3 {
        bail!("cmcc21 has only {} authors", authors.len());
    }
    let reference_each: usize = arguments.get("--reference").map_or(Ok(2), |v| v.parse())?;
    let mut reference = Vec::new();
    if reference_each > 0 {
        for name in ["emails7.jsonl.gz", "techblogs.jsonl.gz"] {
            reference.extend(some(
                lines(&corpora.join(name), &mut fitted_on)?,
                reference_each,
            ));
        }
    }

    let model = Engine::load(&path("--model")?, "smollm2-135m-instruct", DeviceWish::Cpu)?;
    // Without an embedder the noisy channel is silent and the standards are the forward source's alone.
    let embedder = match arguments.get("--embedder") {
        Some(dir) => Some(MiniLm::load(Path::new(dir))?),
        None => None,
    };
    let cache = FileCache::open(&path("--cache")?)?;
    let cancel = Cancel::new();
    let with = Instruments {
        model: &model,
        embedder: embedder.as_ref().map(|e| e as &dyn Embedder),
        cache: &cache,
        cancel: &cancel,
    };

    let total = authors.values().map(Vec::len).sum::<usize>() + reference.len();
    let begun = Instant::now();
    let mut done = 0;
    let mut score = |text: &str| -> Result<TextScores> {
        let scores = score_text(&with, text, Scope::Everything)?;
        done += 1;
        eprintln!(
            "{done}/{total} texts, {:.0} s",
            begun.elapsed().as_secs_f64()
        );
        Ok(scores)
    };
    let own: Vec<Vec<TextScores>> = authors
        .values()
        .map(|texts| texts.iter().map(|t| score(&t.text)).collect())
        .collect::<Result<_>>()?;
    let others: Vec<TextScores> = reference
        .iter()
        .map(|t| score(&t.text))
        .collect::<Result<_>>()?;

    let all = own.iter().flatten().chain(&others);
    let texts = all.clone().count();
    let mut calibration = Calibration::measured(all);
    let mut standings: Vec<Vec<Vec<f64>>> = own
        .iter()
        .map(|texts| {
            texts
                .iter()
                .map(|t| calibration.standings_or_nan(t))
                .collect()
        })
        .collect();
    without_cells(&mut standings);
    for d in 0..DIMENSIONS {
        let scores: Vec<Vec<f64>> = standings
            .iter()
            .map(|texts| texts.iter().map(|t| t[d]).collect())
            .collect();
        if let Some(standard) = calibration.dimensions[d].as_mut() {
            standard.reliability = split_half(&scores, SPLITS, SEED).map(rounded);
        }
    }
    let dimensions = space()
        .iter()
        .zip(&calibration.dimensions)
        .filter_map(|(d, s)| {
            let mut s = (*s)?;
            for standard in std::iter::once(&mut s.forward).chain(s.channel.as_mut()) {
                standard.mean = rounded(standard.mean);
                standard.sd = rounded(standard.sd);
            }
            Some((d.id.clone(), s))
        })
        .collect();
    let file = CalibrationFile {
        model: "smollm2-135m-instruct".to_owned(),
        model_bytes: model.info().file_bytes,
        prompt_version: CalibrationFile::todays_version(&dimensions),
        fitted_on,
        texts: u32::try_from(texts)?,
        authors: u32::try_from(authors.len())?,
        reached_by_chance: rounded(reached_by_chance(
            authors.len(),
            texts_each,
            calibration.dimensions.iter().flatten().count(),
            SEED,
        )),
        note: format!(
            "Computed by the example `calibrate`: {texts_each} texts an author of cmcc21 (reliability: cell means taken out, {SPLITS} seeded halves, Spearman-Brown), {} of emails7 and techblogs for means and spreads. With this few authors a reliability is itself uncertain by about ±.3.",
            reference.len()
        ),
        dimensions,
    };
    report(&file, &standings);
    std::fs::write(path("--out")?, serde_json::to_string_pretty(&file)? + "\n")?;
    Ok(())
}

fn rounded(v: f64) -> f64 {
    (v * 1e4).round() / 1e4
}

fn report(file: &CalibrationFile, standings: &[Vec<Vec<f64>>]) {
    let least = file.least_reliability();
    let reliability = |id: &str| file.dimensions.get(id).and_then(|s| s.reliability);
    let mut rows: Vec<(f64, &str)> = file
        .dimensions
        .iter()
        .filter_map(|(id, s)| Some((s.reliability?, id.as_str())))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (r, id) in &rows {
        println!("{r:6.2} {id}");
    }
    let reliable = rows.iter().filter(|r| r.0 >= least).count();
    println!("{reliable} of {} dimensions reach {least}", rows.len());
    for (name, keep) in [
        ("all dimensions", f64::NEG_INFINITY),
        ("reliable ones", least),
    ] {
        let kept: Vec<usize> = space()
            .iter()
            .filter(|d| reliability(&d.id).is_some_and(|r| r >= keep))
            .map(|d| usize::from(d.index))
            .collect();
        if kept.is_empty() {
            continue;
        }
        let cut: Vec<Vec<Vec<f64>>> = standings
            .iter()
            .map(|texts| {
                texts
                    .iter()
                    .map(|t| kept.iter().map(|&d| t[d]).collect())
                    .collect()
            })
            .collect();
        if let Some(m) = profile_margin(&cut, SPLITS, SEED) {
            let margins = m.margins();
            let n = margins.len() as f64;
            let mean = margins.iter().sum::<f64>() / n;
            let sd = (margins.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            println!(
                "{name}: own minus wrong {mean:.3} ± {:.3} (95 %), positive for {} of {n}; top-1 {:.2}, chance {:.2}",
                1.96 * sd / n.sqrt(),
                margins.iter().filter(|m| **m > 0.0).count(),
                m.top1(),
                m.chance
            );
        }
    }
}
