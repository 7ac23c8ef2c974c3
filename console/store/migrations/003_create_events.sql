-- The events in order. Rows with a number `ev` are records of the log, which is derived from them and can be rebuilt.

create table events (
    id integer primary key,
    run_id text references runs (id),
    at_ms integer not null,
    kind text not null,
    detail text not null default '{}',
    ev integer unique check (ev >= 1),
    record text,
    logged integer not null default 0 check (logged in (0, 1)),
    check ((ev is null) = (record is null)),
    check (ev is not null or logged = 0)
) strict;

create index events_run on events (run_id, id);
create index events_unlogged on events (ev) where ev is not null and logged = 0;

create trigger events_gap_free before insert on events
when new.ev is not null and new.ev <> (select coalesce(max(ev), 0) + 1 from events)
begin
    select raise(abort, 'log lines are numbered without gaps');
end;

create trigger events_only_logged before update on events
when new.id <> old.id or new.run_id is not old.run_id or new.at_ms <> old.at_ms or new.kind <> old.kind
    or new.detail <> old.detail or new.ev is not old.ev or new.record is not old.record or new.logged < old.logged
begin
    select raise(abort, 'an event is never changed');
end;

create trigger events_never_deleted before delete on events begin
    select raise(abort, 'an event is never deleted');
end;

-- The stage of a task is that of its newest row; without a row it is `manual`.
create table stage_changes (
    id integer primary key,
    task text not null,
    before text not null check (before in ('manual', 'semi', 'unattended')),
    after text not null check (after in ('manual', 'semi', 'unattended')),
    by text not null,
    reason text not null,
    forced integer not null check (forced in (0, 1)),
    evidence text not null,
    run_id text references runs (id),
    at_ms integer not null,
    check (before <> after)
) strict;

create index stage_changes_task on stage_changes (task, id);

create trigger stage_changes_never_change before update on stage_changes begin
    select raise(abort, 'a change of stage is never changed');
end;

create trigger stage_changes_never_deleted before delete on stage_changes begin
    select raise(abort, 'a change of stage is never deleted');
end;

-- The kill switch is on while its row exists.
create table controls (
    name text primary key check (name in ('paused')),
    by text not null,
    since_ms integer not null
) strict, without rowid;

create table owners (
    id text primary key,
    kind text not null,
    pid integer not null,
    started_ms integer not null,
    beat_ms integer not null
) strict, without rowid;
