//! Drafts: generated texts, and the samples whose words stood in their prompts.

use idiolect_core::{
    draft::{AdapterUse, Draft, Meters, Thumb},
    ids::{AdapterId, DraftId, ProfileId, SampleId},
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    lineage::Derived,
    search,
    value::{Json, Word},
};

const COLUMNS: &str = "d.id, d.profile, d.intent, d.method, d.brief, d.prompt, d.text, d.tokens, d.prompt_tokens, d.seconds, d.tokens_per_second, d.sampling, d.model, d.adapter, d.adapter_scale, d.adapter_contrast, d.other_adapters, d.edited, d.thumb, d.ended, d.meters, d.kept, d.created_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Draft> {
    let adapter: Option<String> = row.get("adapter")?;
    let scale: Option<f64> = row.get("adapter_scale")?;
    let contrast: f64 = row.get("adapter_contrast")?;
    Ok(Draft {
        id: DraftId(row.get("id")?),
        profile: ProfileId(row.get("profile")?),
        intent: row.get::<_, Word<_>>("intent")?.0,
        method: row.get::<_, Word<_>>("method")?.0,
        brief: row.get("brief")?,
        prompt: row.get("prompt")?,
        text: row.get("text")?,
        tokens: row.get("tokens")?,
        prompt_tokens: row.get("prompt_tokens")?,
        seconds: row.get("seconds")?,
        tokens_per_second: row.get("tokens_per_second")?,
        sampling: row.get::<_, Json<_>>("sampling")?.0,
        model: row.get("model")?,
        adapter: adapter.zip(scale).map(|(id, scale)| AdapterUse {
            id: AdapterId(id),
            scale,
            contrast,
        }),
        other_adapters: row.get::<_, Json<_>>("other_adapters")?.0,
        ended: row.get("ended")?,
        meters: row.get::<_, Json<_>>("meters")?.0,
        kept: row.get("kept")?,
        edited: row.get("edited")?,
        thumb: row.get::<_, Option<Word<_>>>("thumb")?.map(|word| word.0),
        created_at: row.get("created_at")?,
    })
}

pub(crate) fn get(tx: &Transaction<'_>, id: &DraftId) -> Result<Draft> {
    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM drafts d WHERE d.id = ?1"))?
        .query_row([id.as_str()], from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Draft, id.as_str()))
}

impl Store {
    /// Stores a draft with the samples its prompt quoted. An empty `id` or `created_at` is filled in.
    ///
    /// # Errors
    /// `NotFound` for the profile; `Duplicate` where the id is taken.
    pub fn insert_draft(&self, draft: &Draft, in_prompt: &[SampleId]) -> Result<Draft> {
        self.write(|tx| {
            require(tx, &draft.profile)?;
            let stored = Draft {
                id: self.id_or_fresh(tx, &draft.id)?,
                created_at: self.timestamp_or(&draft.created_at),
                ..draft.clone()
            };
            tx.prepare_cached(
                "INSERT INTO drafts (id, profile, intent, method, brief, prompt, text, tokens, prompt_tokens, seconds,
                 tokens_per_second, sampling, model, adapter, adapter_scale, ended, meters, kept, created_at,
                 adapter_contrast, other_adapters, edited, thumb)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
                 ?21, ?22, ?23)",
            )?
            .execute(params![
                stored.id.as_str(),
                stored.profile.as_str(),
                Word(&stored.intent),
                Word(&stored.method),
                stored.brief,
                stored.prompt,
                stored.text,
                stored.tokens,
                stored.prompt_tokens,
                stored.seconds,
                stored.tokens_per_second,
                Json(&stored.sampling),
                stored.model,
                stored.adapter.as_ref().map(|a| a.id.as_str()),
                stored.adapter.as_ref().map(|a| a.scale),
                stored.ended,
                Json(&stored.meters),
                stored.kept,
                stored.created_at,
                stored.adapter.as_ref().map_or(0.0, |a| a.contrast),
                Json(&stored.other_adapters),
                stored.edited,
                stored.thumb.as_ref().map(Word),
            ])
            .map_err(|e| StoreError::from(e).duplicate_of(Thing::Draft))?;
            let mut link = tx.prepare_cached(
                "INSERT INTO draft_samples (draft, sample) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?;
            for sample in in_prompt {
                link.execute(params![stored.id.as_str(), sample.as_str()])?;
            }
            Ok(stored)
        })
    }

    /// A profile's drafts, newest first.
    ///
    /// # Errors
    /// `NotFound` for the profile.
    pub fn drafts(&self, profile: &ProfileId) -> Result<Vec<Draft>> {
        self.read(|tx| {
            require(tx, profile)?;
            let mut statement = tx.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM drafts d WHERE d.profile = ?1 ORDER BY d.created_at DESC, d.row DESC"
            ))?;
            let rows = statement.query_map([profile.as_str()], from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One draft.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn draft(&self, id: &DraftId) -> Result<Draft> {
        self.read(|tx| get(tx, id))
    }

    /// The samples whose words stood in its prompt, deleted ones included.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn samples_in_prompt(&self, id: &DraftId) -> Result<Vec<SampleId>> {
        self.read(|tx| {
            require(tx, id)?;
            let mut statement = tx.prepare_cached(
                "SELECT sample FROM draft_samples WHERE draft = ?1 ORDER BY sample",
            )?;
            let rows = statement.query_map([id.as_str()], |row| Ok(SampleId(row.get(0)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Drafts of a profile with all of these words in brief or text, best match first.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn search_drafts(
        &self,
        profile: &ProfileId,
        typed: &str,
        limit: u32,
    ) -> Result<Vec<Draft>> {
        let Some(query) = search::query(typed) else {
            return Ok(Vec::new());
        };
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM drafts_search JOIN drafts d ON d.row = drafts_search.rowid
                 WHERE drafts_search MATCH ?2 AND d.profile = ?1 ORDER BY drafts_search.rank, d.row LIMIT ?3"
            ))?;
            let rows = statement.query_map(params![profile.as_str(), query, limit], from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The person keeps the draft.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn keep_draft(&self, id: &DraftId) -> Result<Draft> {
        self.update_draft(id, "UPDATE drafts SET kept = 1 WHERE id = ?1")
    }

    /// The person lets it go; it stays in the list.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn let_draft_go(&self, id: &DraftId) -> Result<Draft> {
        self.update_draft(id, "UPDATE drafts SET kept = 0 WHERE id = ?1")
    }

    fn update_draft(&self, id: &DraftId, sql: &'static str) -> Result<Draft> {
        self.write(|tx| {
            touched(tx.execute(sql, [id.as_str()])?, id)?;
            get(tx, id)
        })
    }

    /// Stores how it compares with the person's texts, measured after it was written.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_meters(&self, id: &DraftId, meters: &Meters) -> Result<Draft> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE drafts SET meters = ?2 WHERE id = ?1",
                params![id.as_str(), Json(meters)],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Keeps the draft as the person corrected it; none takes the correction back. What was written stays as it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_edited(&self, id: &DraftId, edited: Option<&str>) -> Result<Draft> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE drafts SET edited = ?2, edited_at = ?3 WHERE id = ?1",
                params![id.as_str(), edited, edited.map(|_| self.timestamp())],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Keeps what the person thinks of it; none forgets it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_thumb(&self, id: &DraftId, thumb: Option<Thumb>) -> Result<Draft> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE drafts SET thumb = ?2, thumb_at = ?3 WHERE id = ?1",
                params![
                    id.as_str(),
                    thumb.as_ref().map(Word),
                    thumb.map(|_| self.timestamp())
                ],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Deletes a draft with the pairs and votes it stood in, which the answer counts.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_draft(&self, id: &DraftId) -> Result<Derived> {
        self.write(|tx| {
            let derived = Derived::of_draft(tx, id)?;
            touched(
                tx.execute("DELETE FROM drafts WHERE id = ?1", [id.as_str()])?,
                id,
            )?;
            Ok(derived)
        })
    }
}
