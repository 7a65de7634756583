-- Drafts that a run wrote on its way, to show what it had learned by then. They go with the run.
CREATE TABLE run_trials (
    run           TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    step          INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    brief         TEXT NOT NULL,
    text          TEXT NOT NULL,
    copied_words  INTEGER NOT NULL,
    copied        REAL NOT NULL,
    PRIMARY KEY (run, step, position)
) STRICT, WITHOUT ROWID;
