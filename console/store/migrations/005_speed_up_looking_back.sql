-- For histories of a million runs: each filter reads an index of its own in the order of the pages. The index also holds
-- stage, origin, key and attempt, so that these are checked without reading the row.

drop index runs_task;
drop index runs_outcome;
create index runs_task on runs (task, created_ms, seq, stage, origin, key, attempt);
create index runs_outcome on runs (outcome, created_ms, seq, stage, origin);
create index runs_stage on runs (stage, created_ms, seq, origin);
create index runs_origin on runs (origin, created_ms, seq, stage);

-- `runs_terms` lists the words of the index, so that a search can name the words that begin with what was typed: the hits
-- of a word are read from the newest on, while those of a prefix are collected first. Prefixes of up to three letters,
-- with which too many words begin, have an index of their own.
drop table runs_text;
create virtual table runs_text using fts5 (
    task, target, key, note, result,
    content = 'runs', content_rowid = 'seq', prefix = '1 2 3'
);
insert into runs_text (runs_text) values ('rebuild');
create virtual table runs_terms using fts5vocab (runs_text, instance);
