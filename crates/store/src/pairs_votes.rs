//! Blind pairs in the order they were shown, and at most one vote on each.

use idiolect_core::{
    draft::Draft,
    ids::{AdapterId, DraftId, PairId, ProfileId},
    vote::{BlindPair, Choice, Vote, Voter},
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store, drafts,
    error::{Result, StoreError, Thing},
    ids::require,
    value::{Json, Word},
};

/// Two drafts, shuffled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Its id; filled in when empty.
    pub id: PairId,
    /// Whose profile.
    pub profile: ProfileId,
    /// Shown left.
    pub left: DraftId,
    /// Shown right.
    pub right: DraftId,
    /// Seed of the shuffle.
    pub seed: u64,
    /// Position in the round, from 1.
    pub number: u32,
    /// Pairs in the round.
    pub of: u32,
    /// The adapter under test, where the round is a re-test.
    pub adapter: Option<AdapterId>,
    /// The adapter it is held against there, where that is not the base model.
    pub against: Option<AdapterId>,
    /// RFC 3339, UTC; filled in when empty.
    pub created_at: String,
}

/// A vote with what was voted on.
#[derive(Debug, Clone, PartialEq)]
pub struct VotedPair {
    /// The vote.
    pub vote: Vote,
    /// The draft that was shown left.
    pub left: Draft,
    /// The draft that was shown right.
    pub right: Draft,
    /// The adapter under test, where the round was a re-test.
    pub adapter: Option<AdapterId>,
    /// The adapter it was held against there, where that was not the base model.
    pub against: Option<AdapterId>,
}

const COLUMNS: &str = "p.id, p.profile, p.left_draft, p.right_draft, p.seed, p.number, p.of, p.adapter, p.against, p.created_at";

fn pair_from_row(row: &Row<'_>) -> rusqlite::Result<Pair> {
    Ok(Pair {
        id: PairId(row.get("id")?),
        profile: ProfileId(row.get("profile")?),
        left: DraftId(row.get("left_draft")?),
        right: DraftId(row.get("right_draft")?),
        seed: row.get::<_, i64>("seed")?.cast_unsigned(),
        number: row.get("number")?,
        of: row.get("of")?,
        adapter: row.get::<_, Option<String>>("adapter")?.map(AdapterId),
        against: row.get::<_, Option<String>>("against")?.map(AdapterId),
        created_at: row.get("created_at")?,
    })
}

fn get(tx: &Transaction<'_>, id: &PairId) -> Result<Pair> {
    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM pairs p WHERE p.id = ?1"))?
        .query_row([id.as_str()], pair_from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Pair, id.as_str()))
}

/// The votes under `condition`, a clause over `p` with one parameter.
fn voted(tx: &Transaction<'_>, condition: &str, key: &str) -> Result<Vec<VotedPair>> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS}, v.choice, v.voter, v.cast_at FROM votes v JOIN pairs p ON p.id = v.pair
         WHERE {condition} ORDER BY v.rowid"
    ))?;
    let rows = statement.query_map([key], |row| {
        let pair = pair_from_row(row)?;
        let vote = Vote {
            pair: pair.id,
            profile: pair.profile,
            left: pair.left,
            right: pair.right,
            choice: row.get::<_, Word<_>>("choice")?.0,
            voter: row.get::<_, Json<_>>("voter")?.0,
            cast_at: row.get("cast_at")?,
        };
        Ok((vote, pair.adapter, pair.against))
    })?;
    let mut all = Vec::new();
    for row in rows {
        let (vote, adapter, against) = row?;
        all.push(VotedPair {
            left: drafts::get(tx, &vote.left)?,
            right: drafts::get(tx, &vote.right)?,
            vote,
            adapter,
            against,
        });
    }
    Ok(all)
}

impl Store {
    /// Stores a shuffled pair.
    ///
    /// # Errors
    /// `NotFound` for the profile or a draft; `Duplicate` where the id is taken.
    pub fn insert_pair(&self, pair: &Pair) -> Result<Pair> {
        self.write(|tx| self.add_pair(tx, pair))
    }

    fn add_pair(&self, tx: &Transaction<'_>, pair: &Pair) -> Result<Pair> {
        require(tx, &pair.profile)?;
        require(tx, &pair.left)?;
        require(tx, &pair.right)?;
        let stored = Pair {
            id: self.id_or_fresh(tx, &pair.id)?,
            created_at: self.timestamp_or(&pair.created_at),
            ..pair.clone()
        };
        tx.prepare_cached(
            "INSERT INTO pairs (id, profile, left_draft, right_draft, seed, number, of, adapter, created_at, against)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            stored.id.as_str(),
            stored.profile.as_str(),
            stored.left.as_str(),
            stored.right.as_str(),
            stored.seed.cast_signed(),
            stored.number,
            stored.of,
            stored.adapter.as_ref().map(AdapterId::as_str),
            stored.created_at,
            stored.against.as_ref().map(AdapterId::as_str),
        ])
        .map_err(|e| StoreError::from(e).duplicate_of(Thing::Pair))?;
        Ok(stored)
    }

    /// One pair with what was what; for after the vote.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn pair(&self, id: &PairId) -> Result<Pair> {
        self.read(|tx| get(tx, id))
    }

    /// One pair as the person sees it before voting.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn blind_pair(&self, id: &PairId) -> Result<BlindPair> {
        self.read(|tx| {
            let pair = get(tx, id)?;
            blind(tx, pair)
        })
    }

    /// Pairs of an adapter's re-test against another one, or against the base model, without a vote, in the order of the
    /// rounds.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn waiting_pairs(
        &self,
        adapter: &AdapterId,
        against: Option<&AdapterId>,
    ) -> Result<Vec<BlindPair>> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM pairs p LEFT JOIN votes v ON v.pair = p.id
                 WHERE p.adapter = ?1 AND p.against IS ?2 AND v.pair IS NULL ORDER BY p.row"
            ))?;
            let pairs: Vec<Pair> = statement
                .query_map(
                    params![adapter.as_str(), against.map(AdapterId::as_str)],
                    pair_from_row,
                )?
                .collect::<rusqlite::Result<_>>()?;
            pairs.into_iter().map(|pair| blind(tx, pair)).collect()
        })
    }

    /// Puts a round of an adapter's pairs in the place of those of the same comparison that nobody voted on, all or nothing.
    ///
    /// # Errors
    /// As [`Store::insert_pair`]; the old round stays then.
    pub fn new_round(
        &self,
        adapter: &AdapterId,
        against: Option<&AdapterId>,
        pairs: &[Pair],
    ) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "DELETE FROM pairs WHERE adapter = ?1 AND against IS ?2 AND id NOT IN (SELECT pair FROM votes)",
                params![adapter.as_str(), against.map(AdapterId::as_str)],
            )?;
            for pair in pairs {
                self.add_pair(tx, pair)?;
            }
            Ok(())
        })
    }

    /// Stores a pick; the answer says what was what.
    ///
    /// # Errors
    /// `NotFound` for the pair; `Duplicate` where it has a vote already.
    pub fn cast_vote(&self, id: &PairId, choice: Choice, voter: &Voter) -> Result<VotedPair> {
        self.write(|tx| {
            require(tx, id)?;
            tx.execute(
                "INSERT INTO votes (pair, choice, voter, cast_at) VALUES (?1, ?2, ?3, ?4)",
                params![id.as_str(), Word(&choice), Json(voter), self.timestamp()],
            )
            .map_err(|e| StoreError::from(e).duplicate_of(Thing::Vote))?;
            voted(tx, "p.id = ?1", id.as_str())?
                .pop()
                .ok_or_else(|| StoreError::not_found(Thing::Vote, id.as_str()))
        })
    }

    /// A profile's votes with their drafts, oldest first; re-tests included.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn votes(&self, profile: &ProfileId) -> Result<Vec<VotedPair>> {
        self.read(|tx| {
            require(tx, profile)?;
            voted(tx, "p.profile = ?1", profile.as_str())
        })
    }

    /// The votes of an adapter's re-tests, whatever it was held against, oldest first.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn retest_votes(&self, adapter: &AdapterId) -> Result<Vec<VotedPair>> {
        self.read(|tx| voted(tx, "p.adapter = ?1", adapter.as_str()))
    }
}

/// Pairs with this adapter on either side that nobody voted on.
pub(crate) fn drop_waiting(tx: &Transaction<'_>, adapter: &AdapterId) -> Result<usize> {
    Ok(tx.execute(
        "DELETE FROM pairs WHERE ?1 IN (adapter, against) AND id NOT IN (SELECT pair FROM votes)",
        [adapter.as_str()],
    )?)
}

fn blind(tx: &Transaction<'_>, pair: Pair) -> Result<BlindPair> {
    let left = drafts::get(tx, &pair.left)?;
    let right = drafts::get(tx, &pair.right)?;
    Ok(BlindPair {
        id: pair.id,
        brief: left.brief,
        left: left.text,
        right: right.text,
        number: pair.number,
        of: pair.of,
    })
}
