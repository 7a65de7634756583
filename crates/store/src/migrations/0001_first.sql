-- The first shape of a home. Append-only: this file never changes once shipped.
--
-- `row` is spelled out where full-text search refers to it, because VACUUM may renumber implicit rowids.
-- Sample ids in lineage tables carry no foreign key: they outlive the sample, so that what was
-- derived from a deleted text still says so.

CREATE TABLE meta (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision  INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 0);

CREATE TABLE settings (
    name   TEXT PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT;

CREATE TABLE profiles (
    row               INTEGER PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    name              TEXT NOT NULL UNIQUE COLLATE NOCASE,
    created_at        TEXT NOT NULL,
    sensitive         INTEGER NOT NULL DEFAULT 0,
    self_description  TEXT NOT NULL DEFAULT '',
    summary           TEXT NOT NULL DEFAULT '',
    summary_edited    INTEGER NOT NULL DEFAULT 0,
    -- Counts every change of its samples; readings made before the last one are stale.
    samples_revision  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE samples (
    row          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    profile      TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    kind         TEXT NOT NULL,
    title        TEXT NOT NULL,
    text         TEXT NOT NULL,
    text_sha256  BLOB NOT NULL,
    prompt       TEXT,
    words        INTEGER NOT NULL,
    language     TEXT NOT NULL,
    written_at   TEXT,
    added_at     TEXT NOT NULL,
    removed      TEXT NOT NULL,
    note         TEXT NOT NULL,
    UNIQUE (profile, text_sha256)
) STRICT;

CREATE VIRTUAL TABLE samples_search USING fts5(
    title, text, content = 'samples', content_rowid = 'row', tokenize = "unicode61 remove_diacritics 2"
);
-- A deleted text leaves the index at once, not at some later merge.
INSERT INTO samples_search (samples_search, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER samples_search_insert AFTER INSERT ON samples BEGIN
    INSERT INTO samples_search (rowid, title, text) VALUES (new.row, new.title, new.text);
END;
CREATE TRIGGER samples_search_delete AFTER DELETE ON samples BEGIN
    INSERT INTO samples_search (samples_search, rowid, title, text)
    VALUES ('delete', old.row, old.title, old.text);
END;
CREATE TRIGGER samples_search_update AFTER UPDATE OF title, text ON samples BEGIN
    INSERT INTO samples_search (samples_search, rowid, title, text)
    VALUES ('delete', old.row, old.title, old.text);
    INSERT INTO samples_search (rowid, title, text) VALUES (new.row, new.title, new.text);
END;

CREATE TABLE reading_sets (
    profile           TEXT PRIMARY KEY REFERENCES profiles(id) ON DELETE CASCADE,
    model             TEXT NOT NULL,
    made_at           TEXT NOT NULL,
    samples_revision  INTEGER NOT NULL
) STRICT;

CREATE TABLE readings (
    profile             TEXT NOT NULL REFERENCES reading_sets(profile) ON DELETE CASCADE,
    dimension           TEXT NOT NULL,
    position            INTEGER NOT NULL,
    subject             TEXT NOT NULL,
    status              TEXT NOT NULL,
    score               REAL NOT NULL,
    low                 REAL NOT NULL,
    high                REAL NOT NULL,
    effective_evidence  REAL NOT NULL,
    evidence            TEXT NOT NULL,
    note                TEXT NOT NULL,
    PRIMARY KEY (profile, dimension)
) STRICT;

-- What the person set, apart from readings so that no inference can touch it.
CREATE TABLE overrides (
    profile    TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    dimension  TEXT NOT NULL,
    score      REAL NOT NULL CHECK (score BETWEEN -1 AND 1),
    set_at     TEXT NOT NULL,
    PRIMARY KEY (profile, dimension)
) STRICT;

CREATE TABLE objects (
    profile    TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    dimension  TEXT NOT NULL,
    object     TEXT NOT NULL,
    PRIMARY KEY (profile, dimension)
) STRICT;

CREATE TABLE hypotheses (
    row                 INTEGER PRIMARY KEY,
    id                  TEXT NOT NULL UNIQUE,
    profile             TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    position            INTEGER NOT NULL,
    category            TEXT NOT NULL,
    statement           TEXT NOT NULL,
    instruction         TEXT NOT NULL,
    evidence            TEXT NOT NULL,
    status              TEXT NOT NULL,
    support             TEXT,
    -- Which claim this is across inferences; both null where the person added it.
    feature             TEXT,
    direction           INTEGER,
    -- What the test said last, for taking a decision back.
    tested_statement    TEXT NOT NULL,
    tested_instruction  TEXT NOT NULL,
    tested_status       TEXT NOT NULL
) STRICT;
CREATE INDEX hypotheses_of_profile ON hypotheses (profile, position);

CREATE TABLE drafts (
    row                INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,
    profile            TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    intent             TEXT NOT NULL,
    method             TEXT NOT NULL,
    brief              TEXT NOT NULL,
    prompt             TEXT NOT NULL,
    text               TEXT NOT NULL,
    tokens             INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    seconds            REAL NOT NULL,
    tokens_per_second  REAL NOT NULL,
    sampling           TEXT NOT NULL,
    model              TEXT NOT NULL,
    -- No foreign key: the draft outlives the adapter.
    adapter            TEXT,
    adapter_scale      REAL,
    ended              TEXT NOT NULL,
    meters             TEXT NOT NULL,
    kept               INTEGER NOT NULL,
    created_at         TEXT NOT NULL,
    CHECK ((adapter IS NULL) = (adapter_scale IS NULL))
) STRICT;
CREATE INDEX drafts_of_profile ON drafts (profile, created_at);

CREATE TABLE draft_samples (
    draft   TEXT NOT NULL REFERENCES drafts(id) ON DELETE CASCADE,
    sample  TEXT NOT NULL,
    PRIMARY KEY (draft, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX draft_samples_by_sample ON draft_samples (sample);

CREATE VIRTUAL TABLE drafts_search USING fts5(
    brief, text, content = 'drafts', content_rowid = 'row', tokenize = "unicode61 remove_diacritics 2"
);
INSERT INTO drafts_search (drafts_search, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER drafts_search_insert AFTER INSERT ON drafts BEGIN
    INSERT INTO drafts_search (rowid, brief, text) VALUES (new.row, new.brief, new.text);
END;
CREATE TRIGGER drafts_search_delete AFTER DELETE ON drafts BEGIN
    INSERT INTO drafts_search (drafts_search, rowid, brief, text)
    VALUES ('delete', old.row, old.brief, old.text);
END;
CREATE TRIGGER drafts_search_update AFTER UPDATE OF brief, text ON drafts BEGIN
    INSERT INTO drafts_search (drafts_search, rowid, brief, text)
    VALUES ('delete', old.row, old.brief, old.text);
    INSERT INTO drafts_search (rowid, brief, text) VALUES (new.row, new.brief, new.text);
END;

CREATE TABLE pairs (
    row         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    profile     TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    left_draft  TEXT NOT NULL REFERENCES drafts(id) ON DELETE CASCADE,
    right_draft TEXT NOT NULL REFERENCES drafts(id) ON DELETE CASCADE,
    seed        INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    of          INTEGER NOT NULL,
    -- The adapter under test, where the pair belongs to a re-test. No foreign key: votes outlive it.
    adapter     TEXT,
    created_at  TEXT NOT NULL
) STRICT;
CREATE INDEX pairs_of_profile ON pairs (profile);
CREATE INDEX pairs_of_adapter ON pairs (adapter);
CREATE INDEX pairs_by_left ON pairs (left_draft);
CREATE INDEX pairs_by_right ON pairs (right_draft);

-- One vote a pair, by the primary key.
CREATE TABLE votes (
    pair     TEXT PRIMARY KEY REFERENCES pairs(id) ON DELETE CASCADE,
    choice   TEXT NOT NULL,
    voter    TEXT NOT NULL,
    cast_at  TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
    row                INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,
    profile            TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    model              TEXT NOT NULL,
    objective          TEXT NOT NULL,
    settings           TEXT NOT NULL,
    status             TEXT NOT NULL,
    message            TEXT NOT NULL,
    tokens_per_second  REAL NOT NULL,
    peak_bytes         INTEGER NOT NULL,
    seconds            REAL NOT NULL,
    started_at         TEXT NOT NULL,
    -- The opening (see jobs) that runs it.
    holder             TEXT NOT NULL
) STRICT;
CREATE INDEX runs_of_profile ON runs (profile, started_at);

CREATE TABLE run_samples (
    run       TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    sample    TEXT NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_samples_by_sample ON run_samples (sample);

CREATE TABLE loss_points (
    run       TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    step      INTEGER NOT NULL,
    loss      REAL,
    held_out  REAL,
    PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE adapters (
    row            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    profile        TEXT NOT NULL REFERENCES profiles(id) ON DELETE CASCADE,
    run            TEXT NOT NULL UNIQUE REFERENCES runs(id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    model          TEXT NOT NULL,
    model_sha256   TEXT NOT NULL,
    rank           INTEGER NOT NULL,
    alpha          REAL NOT NULL,
    base_held_out  REAL,
    own_held_out   REAL,
    bytes          INTEGER NOT NULL,
    created_at     TEXT NOT NULL
) STRICT;
CREATE INDEX adapters_of_profile ON adapters (profile);

CREATE TABLE adapter_samples (
    adapter   TEXT NOT NULL REFERENCES adapters(id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    sample    TEXT NOT NULL,
    PRIMARY KEY (adapter, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_samples_by_sample ON adapter_samples (sample);

CREATE TABLE imported_models (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    path      TEXT NOT NULL UNIQUE,
    sha256    TEXT NOT NULL,
    bytes     INTEGER NOT NULL,
    modified  TEXT NOT NULL,
    details   TEXT NOT NULL,
    added_at  TEXT NOT NULL
) STRICT;

-- Loads in progress, and how often in a row loading a file ended with the whole program.
CREATE TABLE model_loads (
    path        TEXT PRIMARY KEY,
    bytes       INTEGER NOT NULL,
    modified    TEXT NOT NULL,
    crashes     INTEGER NOT NULL,
    holder      TEXT,
    changed_at  TEXT NOT NULL
) STRICT;

CREATE TABLE cache (
    kind     TEXT NOT NULL,
    model    TEXT NOT NULL,
    version  TEXT NOT NULL,
    item     TEXT NOT NULL,
    value    BLOB NOT NULL,
    made_at  TEXT NOT NULL,
    PRIMARY KEY (kind, model, version, item)
) STRICT;

CREATE TABLE eval_rows (
    eval         TEXT NOT NULL,
    build        TEXT NOT NULL,
    model        TEXT NOT NULL,
    data_sha256  TEXT NOT NULL,
    seed         INTEGER NOT NULL,
    flags        TEXT NOT NULL,
    item         TEXT NOT NULL,
    value        TEXT NOT NULL,
    finished_at  TEXT NOT NULL,
    PRIMARY KEY (eval, build, model, data_sha256, seed, flags, item)
) STRICT;

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    what          TEXT NOT NULL,
    lost          TEXT NOT NULL,
    pid           INTEGER NOT NULL,
    holder        TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    heartbeat_at  TEXT NOT NULL,
    UNIQUE (kind, subject)
) STRICT;

CREATE TABLE cut_short (
    id        INTEGER PRIMARY KEY,
    what      TEXT NOT NULL,
    lost      TEXT NOT NULL,
    found_at  TEXT NOT NULL
) STRICT;
