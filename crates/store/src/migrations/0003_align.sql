-- What trainings beyond the first kind need: preferences as lessons, lineage of them, briefs written for texts,
-- corrected drafts, thumbs, checkpoints, voices that were imported, stacked or retired.
--
-- As in the first step, ids in lineage tables carry no foreign key to what they name: they outlive it.

ALTER TABLE drafts ADD COLUMN adapter_contrast REAL NOT NULL DEFAULT 0;
ALTER TABLE drafts ADD COLUMN other_adapters TEXT NOT NULL DEFAULT '[]';
-- What the person made of it, and when; goes with the draft.
ALTER TABLE drafts ADD COLUMN edited TEXT;
ALTER TABLE drafts ADD COLUMN edited_at TEXT;
ALTER TABLE drafts ADD COLUMN thumb TEXT;
ALTER TABLE drafts ADD COLUMN thumb_at TEXT;

-- A brief that the model wrote for a stretch of a sample. Goes with the sample, and when its text changes.
CREATE TABLE sample_briefs (
    sample   TEXT NOT NULL REFERENCES samples(id) ON DELETE CASCADE,
    start    INTEGER NOT NULL,
    "end"    INTEGER NOT NULL,
    -- SHA-256 of the model file, and which instruction it was given.
    model    TEXT NOT NULL,
    version  TEXT NOT NULL,
    brief    TEXT NOT NULL,
    made_at  TEXT NOT NULL,
    PRIMARY KEY (sample, start, "end", model, version)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER sample_briefs_follow_the_text AFTER UPDATE OF text ON samples WHEN old.text <> new.text BEGIN
    DELETE FROM sample_briefs WHERE sample = new.id;
END;

ALTER TABLE runs ADD COLUMN parent TEXT;

CREATE TABLE run_votes (
    run       TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    pair      TEXT NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_votes_by_pair ON run_votes (pair);

CREATE TABLE run_drafts (
    run       TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    draft     TEXT NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_drafts_by_draft ON run_drafts (draft);

ALTER TABLE loss_points ADD COLUMN style REAL;
ALTER TABLE loss_points ADD COLUMN copied REAL;
ALTER TABLE loss_points ADD COLUMN margin REAL;
ALTER TABLE loss_points ADD COLUMN accuracy REAL;

-- The folder with the run's checkpoints, a path relative to the home; the caller owns the files. Null: it cannot be
-- taken up.
ALTER TABLE runs ADD COLUMN checkpoints TEXT;

-- The table is made anew because a voice may now come without a run. Its only child steps aside first, so that
-- dropping the old table takes no row along.
CREATE TABLE kept_adapter_samples AS SELECT adapter, position, sample FROM adapter_samples;
DROP TABLE adapter_samples;
CREATE TABLE new_adapters (
    row            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    profile        TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    run            TEXT UNIQUE REFERENCES runs(id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    model          TEXT NOT NULL,
    model_sha256   TEXT NOT NULL,
    objective      TEXT,
    method         TEXT NOT NULL DEFAULT 'base',
    rank           INTEGER NOT NULL,
    alpha          REAL NOT NULL,
    base_held_out  REAL,
    own_held_out   REAL,
    bytes          INTEGER NOT NULL,
    imported       TEXT,
    retired_at     TEXT,
    report         TEXT,
    created_at     TEXT NOT NULL
) STRICT;
INSERT INTO new_adapters (row, id, profile, run, name, model, model_sha256, objective, rank, alpha, base_held_out, own_held_out, bytes, created_at)
    SELECT row, id, profile, run, name, model, model_sha256, 'sft', rank, alpha, base_held_out, own_held_out, bytes, created_at FROM adapters;
DROP TABLE adapters;
ALTER TABLE new_adapters RENAME TO adapters;
CREATE INDEX adapters_of_profile ON adapters (profile);

CREATE TABLE adapter_samples (
    adapter   TEXT NOT NULL REFERENCES adapters(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    sample    TEXT NOT NULL,
    PRIMARY KEY (adapter, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_samples_by_sample ON adapter_samples (sample);
INSERT INTO adapter_samples (adapter, position, sample) SELECT adapter, position, sample FROM kept_adapter_samples;
DROP TABLE kept_adapter_samples;

CREATE TABLE adapter_votes (
    adapter   TEXT NOT NULL REFERENCES adapters(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    pair      TEXT NOT NULL,
    PRIMARY KEY (adapter, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_votes_by_pair ON adapter_votes (pair);

CREATE TABLE adapter_drafts (
    adapter   TEXT NOT NULL REFERENCES adapters(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    draft     TEXT NOT NULL,
    PRIMARY KEY (adapter, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_drafts_by_draft ON adapter_drafts (draft);

CREATE TABLE adapter_parents (
    adapter   TEXT NOT NULL REFERENCES adapters(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    parent    TEXT NOT NULL,
    PRIMARY KEY (adapter, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_parents_by_parent ON adapter_parents (parent);

-- The voice that a re-test is held against, where that is not the base model.
ALTER TABLE pairs ADD COLUMN against TEXT;
