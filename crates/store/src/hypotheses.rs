//! Hypotheses: tested claims, and what the person said of them. A decision outlives every inference.

use idiolect_core::{
    hypothesis::{Hypothesis, HypothesisStatus, Support},
    ids::{HypothesisId, ProfileId},
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    value::{Json, Word},
};

const SELECT: &str =
    "SELECT id, category, statement, instruction, evidence, status, support FROM hypotheses";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Hypothesis> {
    Ok(Hypothesis {
        id: HypothesisId(row.get("id")?),
        category: row.get::<_, Word<_>>("category")?.0,
        statement: row.get("statement")?,
        instruction: row.get("instruction")?,
        evidence: row.get::<_, Json<_>>("evidence")?.0,
        status: row.get::<_, Word<_>>("status")?.0,
        support: row.get::<_, Option<Json<Support>>>("support")?.map(|s| s.0),
    })
}

fn list(tx: &Transaction<'_>, profile: &ProfileId) -> Result<Vec<Hypothesis>> {
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE profile = ?1 ORDER BY position, row"
    ))?;
    let rows = statement.query_map([profile.as_str()], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn get(tx: &Transaction<'_>, id: &HypothesisId) -> Result<Hypothesis> {
    tx.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?
        .query_row([id.as_str()], from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Hypothesis, id.as_str()))
}

/// Which claim it is across inferences.
fn claim(hypothesis: &Hypothesis) -> Option<(&str, i8)> {
    let support = hypothesis.support.as_ref()?;
    Some((&support.feature, support.direction))
}

impl Store {
    /// Adds one claim at the end, the person's own for instance. An empty `id` is filled in.
    ///
    /// # Errors
    /// `NotFound` for the profile; `Duplicate` where the id is taken.
    pub fn insert_hypothesis(
        &self,
        profile: &ProfileId,
        hypothesis: &Hypothesis,
    ) -> Result<Hypothesis> {
        self.write(|tx| {
            require(tx, profile)?;
            let position: u32 = tx.query_row(
                "SELECT coalesce(max(position) + 1, 0) FROM hypotheses WHERE profile = ?1",
                [profile.as_str()],
                |row| row.get(0),
            )?;
            self.insert_hypothesis_at(tx, profile, hypothesis, position)
        })
    }

    fn insert_hypothesis_at(
        &self,
        tx: &Transaction<'_>,
        profile: &ProfileId,
        hypothesis: &Hypothesis,
        position: u32,
    ) -> Result<Hypothesis> {
        let stored = Hypothesis {
            id: self.id_or_fresh(tx, &hypothesis.id)?,
            ..hypothesis.clone()
        };
        let claim = claim(&stored);
        tx.prepare_cached(
            "INSERT INTO hypotheses (id, profile, position, category, statement, instruction, evidence, status, support,
             feature, direction, tested_statement, tested_instruction, tested_status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?5, ?6, ?8)",
        )?
        .execute(params![
            stored.id.as_str(),
            profile.as_str(),
            position,
            Word(&stored.category),
            stored.statement,
            stored.instruction,
            Json(&stored.evidence),
            Word(&stored.status),
            stored.support.as_ref().map(Json),
            claim.map(|c| c.0),
            claim.map(|c| c.1),
        ])
        .map_err(|e| StoreError::from(e).duplicate_of(Thing::Hypothesis))?;
        Ok(stored)
    }

    /// Takes over a new inference, best first; ids handed in are ignored. A claim seen before (same
    /// feature and direction) keeps its id. What the person accepted, rejected, edited or added
    /// stays as they left it; only the test behind it is renewed.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn replace_hypotheses(
        &self,
        profile: &ProfileId,
        inferred: &[Hypothesis],
    ) -> Result<Vec<Hypothesis>> {
        self.write(|tx| {
            require(tx, profile)?;
            let mut known = list(tx, profile)?;
            for (position, new) in (0u32..).zip(inferred) {
                let before =
                    claim(new).and_then(|c| known.iter().position(|k| claim(k) == Some(c)));
                match before.map(|i| known.remove(i)) {
                    Some(old) => renew(tx, &old, new, position)?,
                    None => {
                        let fresh = Hypothesis {
                            id: HypothesisId::from(""),
                            ..new.clone()
                        };
                        self.insert_hypothesis_at(tx, profile, &fresh, position)?;
                    }
                }
            }
            let mut last = u32::try_from(inferred.len()).unwrap_or(u32::MAX);
            for old in known {
                // Without a test behind it, it is the person's own.
                if old.status.decided() || old.support.is_none() {
                    tx.execute(
                        "UPDATE hypotheses SET position = ?2 WHERE id = ?1",
                        params![old.id.as_str(), last],
                    )?;
                    last = last.saturating_add(1);
                } else {
                    tx.execute("DELETE FROM hypotheses WHERE id = ?1", [old.id.as_str()])?;
                }
            }
            list(tx, profile)
        })
    }

    /// A profile's claims, best first.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn hypotheses(&self, profile: &ProfileId) -> Result<Vec<Hypothesis>> {
        self.read(|tx| {
            require(tx, profile)?;
            list(tx, profile)
        })
    }

    /// One claim.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn hypothesis(&self, id: &HypothesisId) -> Result<Hypothesis> {
        self.read(|tx| get(tx, id))
    }

    /// Whose claim it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn hypothesis_profile(&self, id: &HypothesisId) -> Result<ProfileId> {
        self.read(|tx| {
            tx.query_row(
                "SELECT profile FROM hypotheses WHERE id = ?1",
                [id.as_str()],
                |row| Ok(ProfileId(row.get(0)?)),
            )
            .optional()?
            .ok_or_else(|| StoreError::not_found(Thing::Hypothesis, id.as_str()))
        })
    }

    /// Stores what the person said: "that's me" or "not me".
    ///
    /// # Errors
    /// `NotFound`.
    pub fn decide_hypothesis(
        &self,
        id: &HypothesisId,
        status: HypothesisStatus,
    ) -> Result<Hypothesis> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE hypotheses SET status = ?2 WHERE id = ?1",
                params![id.as_str(), Word(&status)],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Stores the claim in the person's own words.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn edit_hypothesis(
        &self,
        id: &HypothesisId,
        statement: &str,
        instruction: &str,
    ) -> Result<Hypothesis> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE hypotheses SET status = ?2, statement = ?3, instruction = ?4 WHERE id = ?1",
                params![
                    id.as_str(),
                    Word(&HypothesisStatus::Edited),
                    statement,
                    instruction
                ],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Takes the decision back: words and standing as the last test left them.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn reset_hypothesis(&self, id: &HypothesisId) -> Result<Hypothesis> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE hypotheses SET status = tested_status, statement = tested_statement,
                 instruction = tested_instruction WHERE id = ?1",
                [id.as_str()],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Deletes a claim.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_hypothesis(&self, id: &HypothesisId) -> Result<()> {
        self.write(|tx| {
            let rows = tx.execute("DELETE FROM hypotheses WHERE id = ?1", [id.as_str()])?;
            touched(rows, id)
        })
    }
}

/// The same claim tested anew: the person's decision and words win over the test's.
fn renew(tx: &Transaction<'_>, old: &Hypothesis, new: &Hypothesis, position: u32) -> Result<()> {
    let shown = if old.status.decided() { old } else { new };
    // An edited claim keeps its words; an accepted or rejected one takes the newest figures.
    let words = if old.status == HypothesisStatus::Edited {
        old
    } else {
        new
    };
    tx.prepare_cached(
        "UPDATE hypotheses SET position = ?2, category = ?3, statement = ?4, instruction = ?5, evidence = ?6, status = ?7,
         support = ?8, tested_statement = ?9, tested_instruction = ?10, tested_status = ?11 WHERE id = ?1",
    )?
    .execute(params![
        old.id.as_str(),
        position,
        Word(&new.category),
        words.statement,
        words.instruction,
        Json(&new.evidence),
        Word(&shown.status),
        new.support.as_ref().map(Json),
        new.statement,
        new.instruction,
        Word(&new.status),
    ])?;
    Ok(())
}
