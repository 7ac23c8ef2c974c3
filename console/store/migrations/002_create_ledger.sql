-- The ledger: one hold per run, taken before the launch and ended exactly once. Triggers keep the sums per day and task,
-- so that a claim reads only these rows, however many runs there were, and no code has to add them up.

create table holds (
    run_id text primary key references runs (id),
    task text not null,
    day text not null check (length(day) = 10),
    amount integer not null check (amount >= 0),
    state text not null default 'open' check (state in ('open', 'settled', 'released')),
    settled integer check (settled >= 0),
    taken_ms integer not null,
    ended_ms integer,
    check ((state = 'settled') = (settled is not null)),
    check ((state = 'open') = (ended_ms is null))
) strict, without rowid;

create table day_sums (
    day text not null,
    task text not null,
    held integer not null default 0 check (held >= 0),
    spent integer not null default 0 check (spent >= 0),
    open_runs integer not null default 0 check (open_runs >= 0),
    ended_runs integer not null default 0 check (ended_runs >= 0),
    primary key (day, task)
) strict, without rowid;

create trigger holds_start_open before insert on holds when new.state <> 'open' begin
    select raise(abort, 'a hold starts open');
end;

create trigger holds_taken after insert on holds begin
    insert into day_sums (day, task, held, open_runs) values (new.day, new.task, new.amount, 1)
    on conflict (day, task) do update set held = held + excluded.held, open_runs = open_runs + 1;
end;

create trigger holds_end_once before update on holds
when old.state <> 'open' or new.state = 'open' or new.run_id <> old.run_id or new.task <> old.task
    or new.day <> old.day or new.amount <> old.amount
begin
    select raise(abort, 'a hold ends exactly once and is otherwise never changed');
end;

create trigger holds_ended after update on holds begin
    update day_sums set
        held = held - old.amount,
        open_runs = open_runs - 1,
        spent = spent + coalesce(new.settled, 0),
        ended_runs = ended_runs + (new.state = 'settled')
    where day = old.day and task = old.task;
end;

create trigger holds_never_deleted before delete on holds begin
    select raise(abort, 'a hold is never deleted');
end;

-- `window` is the day for which the cap was raised, or the month for the monthly cap.
create table raises (
    id integer primary key,
    cap text not null check (
        cap in (
            'task_daily_runs', 'task_daily_units', 'daily_runs', 'daily_units', 'monthly_units', 'concurrent_runs'
        )
    ),
    task text,
    amount integer not null check (amount > 0),
    by text not null,
    reason text not null,
    at_ms integer not null,
    window text not null check (length(window) in (7, 10)),
    check ((task is not null) = (cap in ('task_daily_runs', 'task_daily_units')))
) strict;

create index raises_window on raises (window);

create trigger raises_never_change before update on raises begin
    select raise(abort, 'a raise is never changed');
end;

create trigger raises_never_deleted before delete on raises begin
    select raise(abort, 'a raise is never deleted');
end;
