-- Words of every run, so that a search in a long history reads the hits and not the history.
-- Kept by the statements that write runs, not by triggers: with trusted_schema off a trigger may not use it.

create virtual table runs_text using fts5 (task, target, key, note, result);
