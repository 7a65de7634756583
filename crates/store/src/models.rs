//! Imported models, and files that took the whole program down while loading.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    value::Json,
};

/// Crashes in a row before a file is left alone. Two, because a kill during a load looks like one.
const CRASHES_TO_QUARANTINE: u32 = 2;

/// What a file was when it was looked at; a changed file is another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    /// Absolute path.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of its last change, as text; any format, compared for equality.
    pub modified: String,
}

/// A model file used in place.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedModel {
    /// Id for `--model`.
    pub id: String,
    /// Name.
    pub name: String,
    /// The file as it was when it was checked.
    pub file: FileStamp,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// What checking it found; the caller's shape.
    pub details: Value,
    /// RFC 3339, UTC; filled in when empty.
    pub added_at: String,
}

/// A load in progress; hand it back with [`Store::finish_load`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a load that is never finished counts as a crash at the next opening"]
pub struct LoadMark {
    path: String,
}

/// A file that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// Which file.
    pub file: FileStamp,
    /// How often in a row the program ended while loading it.
    pub crashes: u32,
    /// When that was last noticed, RFC 3339, UTC.
    pub noticed_at: String,
}

fn imported(row: &Row<'_>) -> rusqlite::Result<ImportedModel> {
    Ok(ImportedModel {
        id: row.get("id")?,
        name: row.get("name")?,
        file: stamp(row)?,
        sha256: row.get("sha256")?,
        details: row.get::<_, Json<_>>("details")?.0,
        added_at: row.get("added_at")?,
    })
}

fn stamp(row: &Row<'_>) -> rusqlite::Result<FileStamp> {
    Ok(FileStamp {
        path: row.get("path")?,
        bytes: row.get::<_, i64>("bytes")?.cast_unsigned(),
        modified: row.get("modified")?,
    })
}

fn quarantine(row: &Row<'_>) -> rusqlite::Result<Quarantine> {
    Ok(Quarantine {
        file: stamp(row)?,
        crashes: row.get("crashes")?,
        noticed_at: row.get("changed_at")?,
    })
}

impl Store {
    /// Remembers a checked model file; importing the same path or id again replaces what was known.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a write.
    pub fn import_model(&self, model: &ImportedModel) -> Result<ImportedModel> {
        let stored = ImportedModel {
            added_at: self.timestamp_or(&model.added_at),
            ..model.clone()
        };
        self.write(|tx| {
            tx.execute(
                "DELETE FROM imported_models WHERE id = ?1 OR path = ?2",
                params![stored.id, stored.file.path],
            )?;
            tx.execute(
                "INSERT INTO imported_models (id, name, path, sha256, bytes, modified, details, added_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    stored.id,
                    stored.name,
                    stored.file.path,
                    stored.sha256,
                    stored.file.bytes.cast_signed(),
                    stored.file.modified,
                    Json(&stored.details),
                    stored.added_at,
                ],
            )?;
            Ok(())
        })?;
        Ok(stored)
    }

    /// The imported models by name.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn imported_models(&self) -> Result<Vec<ImportedModel>> {
        self.read(|tx| {
            let mut statement =
                tx.prepare_cached("SELECT * FROM imported_models ORDER BY name, id")?;
            let rows = statement.query_map([], imported)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One imported model.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn imported_model(&self, id: &str) -> Result<ImportedModel> {
        self.read(|tx| {
            tx.prepare_cached("SELECT * FROM imported_models WHERE id = ?1")?
                .query_row([id], imported)
                .optional()?
                .ok_or_else(|| StoreError::not_found(Thing::Model, id))
        })
    }

    /// Forgets an imported model; the file stays where it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn forget_model(&self, id: &str) -> Result<()> {
        self.write(|tx| {
            if tx.execute("DELETE FROM imported_models WHERE id = ?1", [id])? == 0 {
                return Err(StoreError::not_found(Thing::Model, id));
            }
            Ok(())
        })
    }

    /// Notes that a file is about to be loaded. If the program ends before [`Store::finish_load`],
    /// the next opening counts a crash against the file.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a write.
    pub fn begin_load(&self, file: &FileStamp) -> Result<LoadMark> {
        self.write_unseen(|tx| {
            // Another file under the same path starts without a record.
            tx.execute(
                "INSERT INTO model_loads (path, bytes, modified, crashes, holder, changed_at) VALUES (?1, ?2, ?3, 0, ?4, ?5)
                 ON CONFLICT DO UPDATE SET
                 crashes = iif(bytes = excluded.bytes AND modified = excluded.modified, crashes, 0),
                 bytes = excluded.bytes, modified = excluded.modified, holder = excluded.holder, changed_at = excluded.changed_at",
                params![
                    file.path,
                    file.bytes.cast_signed(),
                    file.modified,
                    self.0.presence.token(),
                    self.timestamp(),
                ],
            )?;
            Ok(())
        })?;
        Ok(LoadMark {
            path: file.path.clone(),
        })
    }

    /// The load ended without taking the program down (whether or not the model was usable).
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a write.
    pub fn finish_load(&self, mark: LoadMark) -> Result<()> {
        self.write_unseen(|tx| {
            // Another opening that began to load the same file meanwhile keeps its own record.
            tx.execute(
                "DELETE FROM model_loads WHERE path = ?1 AND holder = ?2",
                [mark.path.as_str(), self.0.presence.token()],
            )?;
            Ok(())
        })
    }

    /// Whether this very file is left alone because loading it ended the program repeatedly.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn quarantined(&self, file: &FileStamp) -> Result<Option<Quarantine>> {
        Ok(self
            .quarantine()?
            .into_iter()
            .find(|quarantine| quarantine.file == *file))
    }

    /// All files that are left alone.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn quarantine(&self) -> Result<Vec<Quarantine>> {
        self.read(|tx| {
            let mut statement =
                tx.prepare_cached("SELECT * FROM model_loads WHERE crashes >= ?1 ORDER BY path")?;
            let rows = statement.query_map([CRASHES_TO_QUARANTINE], quarantine)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The person wants to try the file again; says whether it was left alone.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a write.
    pub fn lift_quarantine(&self, path: &str) -> Result<bool> {
        self.write(|tx| Ok(tx.execute("DELETE FROM model_loads WHERE path = ?1", [path])? > 0))
    }
}

/// Counts a crash against every load whose process is gone; the words of each for the person.
pub(crate) fn count_crashes(
    tx: &Transaction<'_>,
    now: &str,
    mut is_live: impl FnMut(&str) -> Result<bool>,
) -> Result<Vec<(String, String)>> {
    let mut statement = tx
        .prepare_cached("SELECT path, holder, crashes FROM model_loads WHERE holder IS NOT NULL")?;
    let loads: Vec<(String, String, u32)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut words = Vec::new();
    for (path, holder, before) in loads {
        if is_live(&holder)? {
            continue;
        }
        tx.execute(
            "UPDATE model_loads SET crashes = crashes + 1, holder = NULL, changed_at = ?2 WHERE path = ?1",
            params![path, now],
        )?;
        let lost = if before + 1 >= CRASHES_TO_QUARANTINE {
            "Nothing was lost. The file ended the program repeatedly, so it is set aside: it is not loaded again until you choose Try again under Models (`idiolect models release`)."
        } else {
            "Nothing was lost. It will be tried once more."
        };
        let name = std::path::Path::new(&path)
            .file_name()
            .map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned());
        words.push((format!("Loading the model file “{name}”"), lost.to_owned()));
    }
    Ok(words)
}
