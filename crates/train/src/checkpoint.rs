//! What a run leaves on disk so that it can go on: numbers, and no text.
//!
//! A checkpoint is a folder `step-N` with the state's tensors and a manifest. It is written under another name, synced and
//! renamed, so a folder of that name is whole; two are kept, so that one that a disk damaged does not end a run.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{TrainError, data::hex, stop::Watch};

/// Raised when what is written changes its meaning.
pub const FORMAT: u32 = 1;
/// Versions may differ in the last bits of what they compute.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Checkpoints kept a run.
const KEPT: usize = 2;
const STATE_FILE: &str = "state.safetensors";
const MANIFEST_FILE: &str = "manifest.json";
/// As `sha256sum` writes and checks it.
const SUMS_FILE: &str = "sums.txt";
const MAX_STATE_BYTES: u64 = 16 << 30;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// What makes two runs the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// SHA-256 of the base model's file.
    pub model: String,
    /// Settings of the loop.
    pub settings: serde_json::Value,
    /// SHA-256 of what is learned from and what is held out, as tokens.
    pub rows: String,
    /// SHA-256 of the numbers the run started from; empty for a fresh adapter.
    pub from: String,
}

impl Identity {
    /// What is different in another run, in words; `None` for the same one.
    pub fn differs_from(&self, other: &Self) -> Option<&'static str> {
        if self.model != other.model {
            Some("it belongs to another base model")
        } else if self.settings != other.settings {
            Some("it was made with other settings")
        } else if self.rows != other.rows {
            Some("the texts or votes it was learning from have changed since")
        } else if self.from != other.from {
            Some("it began with another adapter")
        } else {
            None
        }
    }
}

/// Where a run stands after a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u32,
    /// Steps in all.
    pub steps: u32,
    /// The epoch (or round of drafts) the next step belongs to.
    pub epoch: u32,
    /// Steps of that epoch that are done.
    pub done_in_epoch: u32,
    /// Updates of the optimizer.
    pub updates: u32,
    /// SHA-256 of that epoch's examples, where they change by round.
    pub round: String,
    /// Held-out losses and readings so far.
    pub watch: Watch,
    /// Held-out loss before the first step.
    #[serde(with = "exact::option")]
    pub start_held_out: Option<f64>,
    /// Sum of this epoch's losses.
    #[serde(with = "exact")]
    pub epoch_loss: f64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Seconds spent on steps.
    #[serde(with = "exact")]
    pub seconds: f64,
    /// Why the run ended, once it has; empty after its last step.
    pub ended: Option<String>,
    /// Whether it ended because it was told to.
    pub stopped: bool,
}

/// A checkpoint's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Which run.
    pub identity: Identity,
    /// Device and instruction level: on others a run goes on, but not with the same bits.
    pub device: String,
    /// Version of this crate, likewise.
    pub version: String,
    /// Where it stood.
    pub progress: Progress,
}

/// The numbers of a run, where they lie.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    /// A and B.
    pub weights: &'a [f32],
    /// First moments.
    pub first: &'a [f32],
    /// Second moments.
    pub second: &'a [f32],
    /// The best so far.
    pub best: Option<&'a [f32]>,
}

/// The numbers of a run, each in the order of the adapter's parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// A and B.
    pub weights: Vec<f32>,
    /// First moments.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
    /// A and B of the lowest held-out loss, where there was one below the start's.
    pub best: Option<Vec<f32>>,
}

/// A checkpoint that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What it is.
    pub manifest: Manifest,
    /// Its numbers.
    pub state: State,
}

/// What a folder of checkpoints holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The newest whole one.
    pub checkpoint: Option<Checkpoint>,
    /// Newer ones that cannot be used, and why.
    pub damaged: Vec<(u32, String)>,
}

/// Writes a checkpoint into `folder` (created if need be) and removes all but the newest two.
///
/// # Errors
/// When writing fails; what was there before is still there.
pub fn write(
    folder: &Path,
    identity: &Identity,
    device: &str,
    progress: &Progress,
    numbers: Numbers<'_>,
) -> Result<(), TrainError> {
    let bytes = numbers.to_bytes()?;
    let manifest = Manifest {
        format: FORMAT,
        identity: identity.clone(),
        device: device.to_owned(),
        version: VERSION.to_owned(),
        progress: progress.clone(),
    };
    let json = serde_json::to_vec_pretty(&manifest).map_err(|e| damaged(e.to_string()))?;
    let sums = sums(&json, &bytes).into_bytes();
    fs::create_dir_all(folder)?;
    let name = name_of(progress.step);
    let unfinished = folder.join(format!(".new-{name}"));
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir(&unfinished)?;
    let files = [
        (STATE_FILE, &bytes),
        (MANIFEST_FILE, &json),
        (SUMS_FILE, &sums),
    ];
    for (name, bytes) in files {
        let mut file = File::create(unfinished.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    sync_folder(&unfinished)?;
    let path = folder.join(name);
    if path.exists() {
        // The same step, done again after this one proved unusable, or by the same run.
        fs::remove_dir_all(&path)?;
    }
    fs::rename(&unfinished, &path)?;
    sync_folder(folder)?;
    for (_, old) in listed(folder)?.into_iter().rev().skip(KEPT) {
        fs::remove_dir_all(old)?;
    }
    Ok(())
}

/// The newest whole checkpoint in `folder`; those that are damaged are named and passed over. A folder that is not there
/// holds none.
///
/// # Errors
/// When the folder cannot be read.
pub fn find(folder: &Path) -> Result<Found, TrainError> {
    let mut found = Found::default();
    if !folder.exists() {
        return Ok(found);
    }
    for (step, path) in listed(folder)?.into_iter().rev() {
        match read(&path) {
            Ok(checkpoint) if checkpoint.manifest.progress.step == step => {
                found.checkpoint = Some(checkpoint);
                break;
            }
            Ok(_) => found
                .damaged
                .push((step, "it is of another step than its name says".to_owned())),
            Err(why) => found.damaged.push((step, why.to_string())),
        }
    }
    Ok(found)
}

/// Removes checkpoints of steps after `step`, or all: a run that goes on from there writes its own.
pub(crate) fn forget_after(folder: &Path, step: Option<u32>) -> Result<(), TrainError> {
    if !folder.exists() {
        return Ok(());
    }
    for (of, path) in listed(folder)? {
        if step.is_none_or(|step| of > step) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Reads one checkpoint's folder and checks that it is whole.
///
/// # Errors
/// [`TrainError::Checkpoint`] saying what is wrong with it.
pub fn read(path: &Path) -> Result<Checkpoint, TrainError> {
    let json = read_limited(&path.join(MANIFEST_FILE), MAX_MANIFEST_BYTES)?;
    // The format first: a later one may have other fields.
    let format = serde_json::from_slice::<serde_json::Value>(&json)
        .ok()
        .and_then(|value| value["format"].as_u64());
    match format {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            return Err(damaged(format!(
                "it has format {format}, and this version reads {FORMAT}"
            )));
        }
        None => return Err(damaged("its manifest is not one")),
    }
    let bytes = read_limited(&path.join(STATE_FILE), MAX_STATE_BYTES)?;
    if read_limited(&path.join(SUMS_FILE), MAX_MANIFEST_BYTES)? != sums(&json, &bytes).as_bytes() {
        return Err(damaged("its files are not as they were written"));
    }
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|e| damaged(format!("its manifest cannot be read: {e}")))?;
    let state = State::from_bytes(&bytes)?;
    Ok(Checkpoint { manifest, state })
}

impl Numbers<'_> {
    fn to_bytes(self) -> Result<Vec<u8>, TrainError> {
        let mut tensors = vec![
            ("weights", self.weights),
            ("first", self.first),
            ("second", self.second),
        ];
        tensors.extend(self.best.map(|best| ("best", best)));
        let bytes: Vec<(&str, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, b)| Ok((*name, TensorView::new(Dtype::F32, vec![b.len() / 4], b)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| damaged(e.to_string()))?;
        safetensors::serialize(views, None).map_err(|e| damaged(e.to_string()))
    }
}

impl State {
    fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| damaged(format!("its numbers cannot be read: {e}")))?;
        let tensor = |name: &str| -> Option<Vec<f32>> {
            let view = file.tensor(name).ok()?;
            if view.dtype() != Dtype::F32 {
                return None;
            }
            let (values, _) = view.data().as_chunks::<4>();
            Some(values.iter().map(|b| f32::from_le_bytes(*b)).collect())
        };
        let needed = |name| tensor(name).ok_or_else(|| damaged(format!("it has no {name}")));
        let state = Self {
            weights: needed("weights")?,
            first: needed("first")?,
            second: needed("second")?,
            best: tensor("best"),
        };
        let n = state.weights.len();
        let others = [Some(&state.first), Some(&state.second), state.best.as_ref()];
        if others.into_iter().flatten().any(|other| other.len() != n) {
            return Err(damaged("its numbers are not of one adapter"));
        }
        Ok(state)
    }
}

fn sums(manifest: &[u8], state: &[u8]) -> String {
    let sum = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    format!(
        "{}  {MANIFEST_FILE}\n{}  {STATE_FILE}\n",
        sum(manifest),
        sum(state)
    )
}

fn damaged(why: impl Into<String>) -> TrainError {
    TrainError::Checkpoint(why.into())
}

fn name_of(step: u32) -> String {
    format!("step-{step}")
}

/// Checkpoints by step, the oldest first.
fn listed(folder: &Path) -> Result<Vec<(u32, PathBuf)>, TrainError> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let step = name.to_str().and_then(|n| n.strip_prefix("step-"));
        if let Some(step) = step.and_then(|n| n.parse().ok()) {
            steps.push((step, entry.path()));
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>, TrainError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let length = fs::metadata(path)
        .map_err(|_| damaged(format!("{name} is missing")))?
        .len();
    if length > most {
        return Err(damaged(format!("{name} has {length} bytes")));
    }
    fs::read(path).map_err(|e| damaged(format!("{name} cannot be read: {e}")))
}

/// A rename lasts once the folder's own entry is on the disk.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        // Elsewhere folders cannot be opened for that, and renames are journalled.
        Ok(())
    }
}

/// Numbers as decimal text that reads back as the very same bits; JSON's own numbers may be off by the last one.
pub(crate) mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    pub mod option {
        use super::{Deserialize, Deserializer, Error, Serializer};

        pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => to.collect_str(value),
                None => to.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
            Option::<String>::deserialize(from)?
                .map(|text| text.parse().map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Reading;

    fn identity() -> Identity {
        Identity {
            model: "a model".into(),
            settings: serde_json::json!({ "rank": 2, "rate": 5e-4 }),
            rows: "rows".into(),
            from: String::new(),
        }
    }

    fn progress(step: u32) -> Progress {
        Progress {
            step,
            // Numbers that decimal text of usual length does not hold.
            start_held_out: Some(1.0 / 3.0),
            epoch_loss: f64::from(step) * 0.1 + 1e-17,
            watch: Watch {
                lowest: Some(2.0f64.sqrt()),
                rises: 1,
                readings: vec![Reading {
                    style: 0.1 + 0.2,
                    copied: 1.0 / 7.0,
                }],
            },
            ..Progress::default()
        }
    }

    fn state(step: u32) -> State {
        let numbers = |of: f32| (0..7).map(|i| of * i as f32 / 3.0).collect::<Vec<f32>>();
        State {
            weights: numbers(step as f32),
            first: numbers(-1.5),
            second: numbers(1e-20),
            best: step.is_multiple_of(2).then(|| numbers(0.1)),
        }
    }

    impl State {
        fn numbers(&self) -> Numbers<'_> {
            Numbers {
                weights: &self.weights,
                first: &self.first,
                second: &self.second,
                best: self.best.as_deref(),
            }
        }
    }

    fn written(steps: &[u32]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for &step in steps {
            write(
                dir.path(),
                &identity(),
                "cpu",
                &progress(step),
                state(step).numbers(),
            )
            .unwrap();
        }
        dir
    }

    #[test]
    fn what_is_written_is_read_to_the_bit_and_two_are_kept() {
        let dir = written(&[1, 9, 10]);
        for step in [9, 10] {
            let read = read(&dir.path().join(name_of(step))).unwrap();
            assert_eq!(read.manifest.progress, progress(step));
            assert_eq!(read.manifest.identity, identity());
            assert_eq!(read.state, state(step));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let newest = find(dir.path()).unwrap().checkpoint.unwrap();
        assert_eq!(newest.manifest.progress.step, 10, "by number, not by name");
        assert_eq!(find(&dir.path().join("none")).unwrap(), Found::default());
    }

    #[test]
    fn damage_is_said_and_the_one_before_is_used() {
        let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
        let flip = |bytes: &mut Vec<u8>| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        };
        let flip_early = |bytes: &mut Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        };
        let empty = |bytes: &mut Vec<u8>| bytes.clear();
        let damages: [(&str, &dyn Fn(&mut Vec<u8>)); 9] = [
            (STATE_FILE, &cut),
            (STATE_FILE, &flip),
            (STATE_FILE, &empty),
            (MANIFEST_FILE, &cut),
            (MANIFEST_FILE, &flip),
            (MANIFEST_FILE, &flip_early),
            (SUMS_FILE, &flip_early),
            (SUMS_FILE, &empty),
            (MANIFEST_FILE, &empty),
        ];
        for (name, damage) in damages {
            let dir = written(&[1, 2]);
            let path = dir.path().join(name_of(2)).join(name);
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            let found = find(dir.path()).unwrap();
            assert_eq!(found.checkpoint.unwrap().manifest.progress.step, 1);
            assert_eq!(found.damaged.len(), 1);
            assert!(!found.damaged[0].1.is_empty());
        }
        let dir = written(&[1, 2]);
        fs::remove_file(dir.path().join(name_of(2)).join(STATE_FILE)).unwrap();
        let found = find(dir.path()).unwrap();
        assert_eq!(found.checkpoint.unwrap().manifest.progress.step, 1);
    }

    #[test]
    fn another_format_is_refused_by_number() {
        let dir = written(&[3]);
        let path = dir.path().join(name_of(3)).join(MANIFEST_FILE);
        let json = fs::read_to_string(&path).unwrap();
        let newer = json.replacen("\"format\": 1", "\"format\": 2", 1);
        fs::write(&path, newer).unwrap();
        let found = find(dir.path()).unwrap();
        assert_eq!(found.checkpoint, None);
        assert!(found.damaged[0].1.contains("format 2"));
    }

    #[test]
    fn what_a_killed_process_left_unfinished_does_no_harm() {
        let dir = written(&[1]);
        let left = dir.path().join(".new-step-2");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(STATE_FILE), b"half").unwrap();
        let found = find(dir.path()).unwrap();
        assert_eq!(found.checkpoint.unwrap().manifest.progress.step, 1);
        assert!(found.damaged.is_empty());
        write(
            dir.path(),
            &identity(),
            "cpu",
            &progress(2),
            state(2).numbers(),
        )
        .unwrap();
        assert!(!left.exists());
        forget_after(dir.path(), Some(1)).unwrap();
        let found = find(dir.path()).unwrap();
        assert_eq!(found.checkpoint.unwrap().manifest.progress.step, 1);
    }

    #[test]
    fn runs_are_told_apart() {
        let one = identity();
        assert_eq!(one.differs_from(&identity()), None);
        let mut others = vec![identity(); 4];
        others[0].model.push('x');
        others[1].settings["rank"] = 3.into();
        others[2].rows.push('x');
        others[3].from.push('x');
        for other in others {
            assert!(one.differs_from(&other).is_some());
        }
    }
}
