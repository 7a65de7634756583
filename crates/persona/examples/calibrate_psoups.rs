//! Computes `assets/psoups_calibration.json`: the scales and weights of the P-Soups methods, from a file that stays
//! outside the project. Only numbers are written.
//!
//! `cargo run -p idiolect-persona --example calibrate_psoups -- --data DIR --model FILE --out FILE`

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use anyhow::{Context, Result};
use idiolect_engine::Engine;
use idiolect_llm::{Cancel, DeviceWish};
use idiolect_persona::psoups::{Constants, ConstantsFile, Contrast, Counted, Row, contrasts};
use sha2::{Digest, Sha256};

const MODEL: &str = "smollm2-135m-instruct";

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
    let packed = std::fs::read(path("--data")?.join("evals/psoups.jsonl.gz"))?;
    let rows: Vec<Row> = BufReader::new(flate2::read::GzDecoder::new(packed.as_slice()))
        .lines()
        .map(|l| Ok(serde_json::from_str(&l?)?))
        .collect::<Result<_>>()?;
    let model = Engine::load(&path("--model")?, MODEL, DeviceWish::Cpu)?;
    let mut contrast = Vec::new();
    for (done, row) in rows.iter().enumerate() {
        let own = contrasts(&model, &row.history, &[&row.target], &Cancel::new())?[0];
        contrast.push(Contrast {
            own,
            wrong: Vec::new(),
        });
        eprintln!("{}/{} rows", done + 1, rows.len());
    }
    let all: Vec<usize> = (0..rows.len()).collect();
    let mut constants = Constants::fit(&rows, &Counted::of(&rows), &contrast, &all);
    let rounded = |v: &mut f64| *v = (*v * 1e5).round() / 1e5;
    let numbers = [
        &mut constants.scales,
        &mut constants.counted,
        &mut constants.beside_model,
    ];
    numbers
        .into_iter()
        .flatten()
        .chain([&mut constants.contrast])
        .for_each(rounded);
    let digest = Sha256::digest(&packed);
    let file = ConstantsFile {
        fitted_on: vec![digest.iter().map(|b| format!("{b:02x}")).collect()],
        rows: u32::try_from(rows.len())?,
        model: MODEL.to_owned(),
        note: "Computed by the example `calibrate_psoups` on all rows: root mean squares of features, and weights of agreement by logistic regression, none below zero. The list of features was chosen by hand while looking at these rows.".to_owned(),
        constants,
    };
    std::fs::write(path("--out")?, serde_json::to_string_pretty(&file)? + "\n")?;
    Ok(())
}
