//! Profiles: name, switches, self-description and summary; counts come from the samples.

use idiolect_core::{ids::ProfileId, profile::Profile};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    lineage::Derived,
};

/// One change the person made to a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileEdit {
    /// Another name.
    Rename(String),
    /// Sensitive dimensions on or off.
    Sensitive(bool),
    /// The person's description of themselves.
    Describe(String),
    /// The summary in the person's own words; generating never overwrites it afterwards.
    Summary(String),
    /// Back to a summary that may be generated.
    ForgetSummary,
}

const SELECT: &str = "SELECT p.id, p.name, p.created_at, p.sensitive, p.self_description, p.summary, p.summary_edited,
    (SELECT count(*) FROM samples s WHERE s.profile = p.id) AS samples,
    (SELECT min(coalesce(sum(s.words), 0), 4294967295) FROM samples s WHERE s.profile = p.id) AS words
    FROM profiles p";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        id: ProfileId(row.get("id")?),
        name: row.get("name")?,
        created_at: row.get("created_at")?,
        sensitive: row.get("sensitive")?,
        self_description: row.get("self_description")?,
        summary: row.get("summary")?,
        summary_edited: row.get("summary_edited")?,
        samples: row.get("samples")?,
        words: row.get("words")?,
    })
}

pub(crate) fn get(tx: &Transaction<'_>, id: &ProfileId) -> Result<Profile> {
    tx.prepare_cached(&format!("{SELECT} WHERE p.id = ?1"))?
        .query_row([id.as_str()], from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Profile, id.as_str()))
}

impl Store {
    /// A new, empty profile.
    ///
    /// # Errors
    /// `Duplicate` where the name is taken (case does not tell names apart).
    pub fn new_profile(&self, name: &str) -> Result<Profile> {
        self.write(|tx| {
            let id = self.id_or_fresh(tx, &ProfileId::from(""))?;
            tx.execute(
                "INSERT INTO profiles (id, name, created_at) VALUES (?1, ?2, ?3)",
                params![id.as_str(), name, self.timestamp()],
            )
            .map_err(|e| StoreError::from(e).duplicate_of(Thing::Profile))?;
            get(tx, &id)
        })
    }

    /// All profiles, oldest first.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn profiles(&self) -> Result<Vec<Profile>> {
        self.read(|tx| {
            let mut statement =
                tx.prepare_cached(&format!("{SELECT} ORDER BY p.created_at, p.row"))?;
            let rows = statement.query_map([], from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One profile.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn profile(&self, id: &ProfileId) -> Result<Profile> {
        self.read(|tx| get(tx, id))
    }

    /// The profile with this name; else the one whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn profile_named(&self, name: &str) -> Result<Profile> {
        let by_name = self.read(|tx| {
            Ok(tx
                .prepare_cached(&format!("{SELECT} WHERE p.name = ?1"))?
                .query_row([name], from_row)
                .optional()?)
        })?;
        match by_name {
            Some(profile) => Ok(profile),
            None => self.profile(&self.resolve_profile(name)?),
        }
    }

    /// Stores what the person changed.
    ///
    /// # Errors
    /// `NotFound`; `Duplicate` where the new name is taken.
    pub fn edit_profile(&self, id: &ProfileId, edit: &ProfileEdit) -> Result<Profile> {
        self.write(|tx| {
            let id_text = id.as_str();
            let rows = match edit {
                ProfileEdit::Rename(name) => tx
                    .execute(
                        "UPDATE profiles SET name = ?2 WHERE id = ?1",
                        params![id_text, name],
                    )
                    .map_err(|e| StoreError::from(e).duplicate_of(Thing::Profile))?,
                ProfileEdit::Sensitive(on) => tx.execute(
                    "UPDATE profiles SET sensitive = ?2 WHERE id = ?1",
                    params![id_text, on],
                )?,
                ProfileEdit::Describe(text) => tx.execute(
                    "UPDATE profiles SET self_description = ?2 WHERE id = ?1",
                    params![id_text, text],
                )?,
                ProfileEdit::Summary(text) => tx.execute(
                    "UPDATE profiles SET summary = ?2, summary_edited = 1 WHERE id = ?1",
                    params![id_text, text],
                )?,
                ProfileEdit::ForgetSummary => tx.execute(
                    "UPDATE profiles SET summary = '', summary_edited = 0 WHERE id = ?1",
                    params![id_text],
                )?,
            };
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Stores a generated summary unless the person wrote their own; says whether it did.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn store_generated_summary(&self, id: &ProfileId, text: &str) -> Result<bool> {
        self.write(|tx| {
            require(tx, id)?;
            let rows = tx.execute(
                "UPDATE profiles SET summary = ?2 WHERE id = ?1 AND summary_edited = 0",
                params![id.as_str(), text],
            )?;
            Ok(rows > 0)
        })
    }

    /// Deletes a profile with everything that is its own, after a snapshot. The files of the
    /// adapters named in the answer are the caller's to remove.
    ///
    /// # Errors
    /// `NotFound`; `DiskFull` where the snapshot does not fit (nothing is deleted then).
    pub fn delete_profile(&self, id: &ProfileId) -> Result<Derived> {
        self.read(|tx| require(tx, id))?;
        self.snapshot("delete profile")?;
        self.write(|tx| {
            let derived = Derived::of_profile(tx, id)?;
            touched(
                tx.execute("DELETE FROM profiles WHERE id = ?1", [id.as_str()])?,
                id,
            )?;
            Ok(derived)
        })
    }
}
