-- Looking back at a million runs: each filter of the history reads its own index, in the order in which it is shown,
-- and judges stage, origin and the newest attempt of a key there, without going to the row.

drop index runs_task;
drop index runs_outcome;
create index runs_task on runs (task, created_ms, seq, stage, origin, key, attempt);
create index runs_outcome on runs (outcome, created_ms, seq, stage, origin);
create index runs_stage on runs (stage, created_ms, seq, origin);
create index runs_origin on runs (origin, created_ms, seq, stage);

-- With the terms at hand, the beginning of a word becomes the words that begin so: those are read from the newest hit
-- on, while a prefix would be read whole first. Beginnings of up to three letters, which fit too many, have an index.
drop table runs_text;
create virtual table runs_text using fts5 (
    task, target, key, note, result,
    content = 'runs', content_rowid = 'seq', prefix = '1 2 3'
);
insert into runs_text (runs_text) values ('rebuild');
create virtual table runs_terms using fts5vocab (runs_text, instance);
