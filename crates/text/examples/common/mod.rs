//! Reading the evaluation corpora (one JSON object a line, gzip) for examples and data tests.
#![allow(dead_code)] // each example uses its part

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    pub author: String,
    pub text: String,
    pub id: String,
    pub split: Option<String>,
    pub genre: Option<String>,
    pub topic: Option<String>,
}

pub type Failure = Box<dyn std::error::Error>;

/// `--data DIR` of the command line.
pub fn data_dir() -> Result<PathBuf, Failure> {
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--data" {
            return args
                .next()
                .map(PathBuf::from)
                .ok_or_else(|| "--data needs a folder".into());
        }
    }
    Err("usage: --data DIR, the folder that has corpora/ in it".into())
}

pub fn read_corpus(data: &Path, name: &str) -> Result<Vec<Row>, Failure> {
    let path = data.join("corpora").join(format!("{name}.jsonl.gz"));
    let file =
        std::fs::File::open(&path).map_err(|e| format!("cannot open {}: {e}", path.display()))?;
    let reader = BufReader::new(flate2::read::GzDecoder::new(file));
    reader
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}
