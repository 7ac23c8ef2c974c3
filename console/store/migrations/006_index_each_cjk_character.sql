-- Chinese, Japanese, Thai and others do not separate words by blanks, so their characters are indexed with blanks around
-- each of them: a word is then found as a sequence of characters. An emoji is indexed as a word. Only rows with such
-- characters are indexed again.
-- A row is removed from an index of external content by giving the texts exactly as they were inserted.

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
