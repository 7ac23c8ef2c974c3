-- The last line of runs.log says how far the log is written, so no event is marked as written and none is ever changed.

drop trigger events_gap_free;
drop trigger events_only_logged;
drop trigger events_never_deleted;
create table events_unmarked (
    id integer primary key,
    run_id text references runs (id),
    at_ms integer not null,
    kind text not null,
    detail text not null default '{}',
    ev integer unique check (ev >= 1),
    record text,
    check ((ev is null) = (record is null))
) strict;
insert into events_unmarked (id, run_id, at_ms, kind, detail, ev, record)
select id, run_id, at_ms, kind, detail, ev, record from events order by id;
drop table events;
alter table events_unmarked rename to events;

create index events_run on events (run_id, id);
create index events_acts on events (at_ms, id) where
    kind in (
        'approved', 'declined', 'stop', 'stop_reason', 'pause', 'resume', 'raise', 'stage', 'ruling', 'copy_accepted',
        'loss_accepted', 'read_only_lifted'
    )
    or (kind = 'claimed' and instr(detail, '"why":') > 0);

create trigger events_gap_free before insert on events
when new.ev is not null and new.ev <> (select coalesce(max(ev), 0) + 1 from events)
begin
    select raise(abort, 'log lines are numbered without gaps');
end;

create trigger events_never_change before update on events begin
    select raise(abort, 'an event is never changed');
end;

create trigger events_never_deleted before delete on events begin
    select raise(abort, 'an event is never deleted');
end;
