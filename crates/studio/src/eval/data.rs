//! A data folder laid out with `corpora/*.jsonl.gz` and `evals/*.jsonl.gz`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use idiolect_core::{ErrorCode, UserError};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{errors::from_io, models::hex};

/// No file of the layout is larger than this unpacked.
const MAX_UNPACKED: u64 = 512 << 20;

/// The folder.
pub(super) struct Folder {
    root: PathBuf,
}

/// A text of a corpus.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CorpusText {
    pub(super) author: String,
    pub(super) id: String,
    pub(super) text: String,
    /// `train` or anything else, where the file has a split of its own.
    #[serde(default)]
    pub(super) split: Option<String>,
    #[serde(default)]
    pub(super) genre: Option<String>,
    #[serde(default)]
    pub(super) topic: Option<String>,
    /// Of a mail.
    #[serde(default)]
    pub(super) subject: Option<String>,
    /// Path of the file it comes from.
    #[serde(default)]
    pub(super) src: Option<String>,
}

/// Rows of a file with the hash of the file they came from.
pub(super) struct Rows<T> {
    pub(super) rows: Vec<T>,
    pub(super) sha256: String,
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self, UserError> {
        if root.join("corpora").is_dir() || root.join("evals").is_dir() {
            Ok(Self {
                root: root.to_owned(),
            })
        } else {
            Err(UserError::new(
                ErrorCode::DataMissing,
                "That folder holds neither corpora/ nor evals/.",
                "Point --data at a folder with corpora/NAME.jsonl.gz and evals/NAME.jsonl.gz.",
            ))
        }
    }

    /// All rows of an evaluation set.
    pub(super) fn eval<T: DeserializeOwned>(&self, name: &str) -> Result<Rows<T>, UserError> {
        self.read("evals", name)
    }

    /// Texts of a corpus by author, authors in order of name.
    pub(super) fn corpus(
        &self,
        name: &str,
    ) -> Result<(BTreeMap<String, Vec<CorpusText>>, String), UserError> {
        let read = self.read::<CorpusText>("corpora", name)?;
        let mut authors: BTreeMap<String, Vec<CorpusText>> = BTreeMap::new();
        for text in read.rows {
            authors.entry(text.author.clone()).or_default().push(text);
        }
        Ok((authors, read.sha256))
    }

    fn read<T: DeserializeOwned>(&self, folder: &str, name: &str) -> Result<Rows<T>, UserError> {
        let missing = || {
            UserError::new(
                ErrorCode::DataMissing,
                format!("The data folder has no {folder}/{name}.jsonl.gz."),
                "Check --data and --corpus.",
            )
        };
        if !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        {
            return Err(missing());
        }
        let path = self.root.join(folder).join(format!("{name}.jsonl.gz"));
        let mut packed = Vec::new();
        File::open(&path)
            .map_err(|_| missing())?
            .read_to_end(&mut packed)
            .map_err(|e| from_io("Reading the data", &e))?;
        let mut hasher = Sha256::new();
        hasher.update(&packed);
        let mut rows = Vec::new();
        let reader = BufReader::new(GzDecoder::new(packed.as_slice()).take(MAX_UNPACKED));
        for (number, line) in reader.lines().enumerate() {
            let line = line.map_err(|e| from_io("Unpacking the data", &e))?;
            if line.trim().is_empty() {
                continue;
            }
            rows.push(serde_json::from_str(&line).map_err(|_| {
                UserError::new(
                    ErrorCode::Corrupt,
                    format!(
                        "Line {} of {folder}/{name}.jsonl.gz is not a row of this evaluation.",
                        number + 1
                    ),
                    "Check that the file is the one this evaluation reads.",
                )
            })?);
        }
        Ok(Rows {
            rows,
            sha256: hex(hasher),
        })
    }
}

/// A seeded sample of `limit` items that keeps the strata's shares, in the original order.
pub(super) fn stratified<T>(
    items: Vec<T>,
    limit: Option<u32>,
    seed: u64,
    stratum: impl Fn(&T) -> String,
) -> Vec<T> {
    let Some(limit) = limit.map(|l| l as usize).filter(|l| *l < items.len()) else {
        return items;
    };
    let mut strata: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        strata.entry(stratum(item)).or_default().push(i);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut queues: Vec<Vec<usize>> = strata.into_values().collect();
    for queue in &mut queues {
        queue.shuffle(&mut random);
    }
    // Round robin over strata by how much of each is still due.
    let total = items.len() as f64;
    let mut keep = vec![false; items.len()];
    let mut taken = vec![0usize; queues.len()];
    for n in 1..=limit {
        let due = |s: usize| queues[s].len() as f64 * n as f64 / total - taken[s] as f64;
        let next = (0..queues.len())
            .filter(|s| taken[*s] < queues[*s].len())
            .max_by(|a, b| due(*a).total_cmp(&due(*b)))
            .unwrap_or(0);
        keep[queues[next][taken[next]]] = true;
        taken[next] += 1;
    }
    items
        .into_iter()
        .zip(keep)
        .filter_map(|(item, keep)| keep.then_some(item))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_the_strata_s_shares_and_repeats_by_seed() {
        let items: Vec<(char, u32)> = (0..30)
            .map(|i| (if i % 3 == 0 { 'a' } else { 'b' }, i))
            .collect();
        let sample = stratified(items.clone(), Some(9), 7, |item| item.0.to_string());
        assert_eq!(sample.len(), 9);
        assert_eq!(
            sample.iter().filter(|item| item.0 == 'a').count(),
            3,
            "a third is a third"
        );
        assert_eq!(
            sample,
            stratified(items.clone(), Some(9), 7, |item| item.0.to_string())
        );
        assert_ne!(
            sample,
            stratified(items.clone(), Some(9), 8, |item| item.0.to_string())
        );
        assert_eq!(
            stratified(items.clone(), Some(99), 7, |item| item.0.to_string()),
            items
        );
    }
}
