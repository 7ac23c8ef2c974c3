-- Words of every run, so that a search in a long history reads the hits and not the history.
-- The table holds only the index, the texts stay in `runs`. Kept by the statements that write runs, not by triggers:
-- with an untrusted schema, which we insist on, no trigger may touch it.

create virtual table runs_text using fts5 (
    task, target, key, note, result,
    content = 'runs', content_rowid = 'seq'
);
