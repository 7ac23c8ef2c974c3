-- The full-text index, so that a search in a long history reads the hits only.
-- It holds the words, the texts stay in `runs`. The statements that write runs keep it up to date: triggers may not write
-- to it, because every connection sets `trusted_schema = off`.

create virtual table runs_text using fts5 (
    task, target, key, note, result,
    content = 'runs', content_rowid = 'seq'
);
