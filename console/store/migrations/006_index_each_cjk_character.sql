-- Chinese and Japanese do not separate words by blanks, so the full-text index gets a blank around each character of
-- theirs: a word is then found as a sequence of characters. Only rows with such characters are indexed again.
-- The texts of external content have to be given in full to take a row out of the index, in the form they were put in.

create temporary table reindexed as
select seq from runs
where to_index_text(task || target || key || note || result) <> task || target || key || note || result;

insert into runs_text (runs_text, rowid, task, target, key, note, result)
select 'delete', seq, task, target, key, note, result from runs where seq in (select seq from reindexed);

insert into runs_text (rowid, task, target, key, note, result)
select
    seq, to_index_text(task), to_index_text(target), to_index_text(key), to_index_text(note), to_index_text(result)
from runs where seq in (select seq from reindexed);

drop table reindexed;
