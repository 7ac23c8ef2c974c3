-- The runs, and the rules that the database itself enforces on every process and every version of the program: one run
-- per key, one POST per run, no transition that is not allowed.

create table meta (
    name text primary key,
    value text not null
) strict, without rowid;

create table runs (
    seq integer primary key,
    id text not null unique check (length(id) = 26),
    key text not null check (length(key) = 16),
    task text not null,
    type text not null,
    target text not null,
    date text not null,
    attempt integer not null check (attempt >= 0),
    stage text not null check (stage in ('manual', 'semi', 'unattended')),
    origin text not null check (origin in ('manual', 'schedule')),
    requested_by text not null,
    state text not null check (
        state in ('proposed', 'claimed', 'sending', 'running', 'stopping', 'unconfirmed', 'ended')
    ),
    outcome text check (
        outcome in (
            'ok', 'failed', 'incomplete', 'budget', 'timeout', 'cancelled', 'rejected', 'not_sent', 'declined',
            'expired', 'written_off', 'skipped', 'refused'
        )
    ),
    note text not null default '',
    stop_reason text check (stop_reason in ('operator', 'timeout', 'budget', 'kill_switch')),
    stop_by text,
    stop_at_ms integer,
    stop_tries integer not null default 0 check (stop_tries >= 0),
    stop_answer text not null default '',
    stop_alarmed integer not null default 0 check (stop_alarmed in (0, 1)),
    fingerprint text not null,
    max_ms integer not null check (max_ms > 0),
    budget integer not null check (budget >= 0),
    belt_tokens integer not null check (belt_tokens > 0),
    tokens_per_unit integer not null check (tokens_per_unit > 0),
    cached_weight_milli integer not null check (cached_weight_milli >= 0),
    cut_off text not null check (cut_off in ('reached', 'before')),
    stall_ms integer not null check (stall_ms >= 0),
    demote_on text not null default '[]',
    day text not null check (length(day) = 10),
    created_ms integer not null,
    claimed_ms integer,
    claimed_boot_ms integer,
    claimed_boot_id text,
    sent_ms integer,
    sent_boot_ms integer,
    sent_boot_id text,
    deadline_ms integer,
    expires_ms integer,
    ended_ms integer,
    elapsed_ms integer not null default 0 check (elapsed_ms >= 0),
    sandbox_id text,
    sandbox_own integer not null default 0 check (sandbox_own in (0, 1)),
    sandbox_deleted_ms integer,
    remote_id text,
    remote_status text,
    tokens_total integer not null default 0 check (tokens_total >= 0),
    tokens_input integer not null default 0 check (tokens_input >= 0),
    tokens_output integer not null default 0 check (tokens_output >= 0),
    tokens_thought integer not null default 0 check (tokens_thought >= 0),
    tokens_cached integer not null default 0 check (tokens_cached >= 0),
    tokens_tool_use integer not null default 0 check (tokens_tool_use >= 0),
    used integer not null default 0 check (used >= 0),
    usage_known integer not null default 0 check (usage_known in (0, 1)),
    largest_step integer not null default 0 check (largest_step >= 0),
    cost_micro integer check (cost_micro >= 0),
    currency text,
    steps integer not null default 0 check (steps >= 0),
    last_step text not null default '',
    last_step_ms integer,
    stalled integer not null default 0 check (stalled in (0, 1)),
    polled_ms integer,
    trouble text not null default '',
    result text not null default '',
    superseded_by text references runs (id) deferrable initially deferred,
    retry_at_ms integer,
    owner text,
    fence integer not null default 1 check (fence >= 1),
    check ((state = 'ended') = (outcome is not null)),
    check ((state = 'ended') = (ended_ms is not null)),
    check ((stop_reason is null) = (stop_by is null) and (stop_reason is null) = (stop_at_ms is null)),
    check (state not in ('claimed', 'sending', 'running', 'stopping', 'unconfirmed') or claimed_ms is not null),
    check (state not in ('sending', 'running', 'stopping', 'unconfirmed') or sent_ms is not null),
    check (state not in ('running', 'stopping') or remote_id is not null),
    check (state <> 'stopping' or stop_reason is not null),
    check (outcome is null or (attempt = 0) = (outcome in ('skipped', 'refused'))),
    check (state = 'ended' or attempt > 0)
) strict;

-- A second run of a taken key cannot be inserted, whatever the code decided.
create unique index runs_key_taken on runs (key) where
    state in ('proposed', 'claimed', 'sending', 'running', 'stopping', 'unconfirmed')
    or (outcome = 'ok' and superseded_by is null);
create unique index runs_attempt on runs (key, attempt) where attempt > 0;

create index runs_created on runs (created_ms, seq);
create index runs_task on runs (task, created_ms, seq);
create index runs_outcome on runs (outcome, created_ms, seq);
create index runs_task_outcome on runs (task, outcome, created_ms, seq);
create index runs_open on runs (state, task) where state <> 'ended';
create index runs_retry on runs (retry_at_ms) where retry_at_ms is not null;
create index runs_ended on runs (ended_ms) where state = 'ended' and attempt > 0;

create trigger runs_never_deleted before delete on runs begin
    select raise(abort, 'a run is never deleted');
end;

create trigger runs_state_edges before update of state on runs
when new.state <> old.state and old.state || '>' || new.state not in (
    'proposed>claimed', 'proposed>ended', 'claimed>sending', 'claimed>ended', 'sending>claimed', 'sending>running',
    'sending>unconfirmed', 'sending>ended', 'running>stopping', 'running>ended', 'stopping>ended',
    'unconfirmed>running', 'unconfirmed>ended'
)
begin
    select raise(abort, 'the state table has no such edge');
end;

create trigger runs_fence_grows before update of fence on runs when new.fence < old.fence begin
    select raise(abort, 'a fence never decreases');
end;

create trigger runs_first_stop_wins before update of stop_reason, stop_by, stop_at_ms on runs
when old.stop_reason is not null and (
    new.stop_reason is not old.stop_reason or new.stop_by is not old.stop_by or new.stop_at_ms is not old.stop_at_ms
)
begin
    select raise(abort, 'the first stop wins');
end;

create trigger runs_identity_stays before update of
    seq, id, key, task, type, target, date, origin, fingerprint, attempt, max_ms, budget, belt_tokens,
    tokens_per_unit, cached_weight_milli, created_ms
on runs begin
    select raise(abort, 'what a run is never changes');
end;

-- An ended run may still be superseded and its retry may change; everything else of it is final.
create trigger runs_end_is_final before update of
    state, outcome, note, stop_reason, day, ended_ms, elapsed_ms, sent_ms, deadline_ms, remote_id, remote_status,
    tokens_total, tokens_cached, used, usage_known, cost_micro, currency, result, owner, fence
on runs when old.state = 'ended' begin
    select raise(abort, 'an ended run is final');
end;

create trigger runs_superseded_once before update of superseded_by on runs
when old.superseded_by is not null or old.outcome is not 'ok'
begin
    select raise(abort, 'only a run that ended ok is superseded, and once');
end;

-- One row per attempt to send the POST. An attempt that may have launched an agent blocks every further one.
create table sends (
    run_id text not null references runs (id),
    n integer not null check (n >= 1),
    fence integer not null,
    verdict text not null check (
        verdict in ('open', 'not_sent', 'rejected', 'unknown', 'launched', 'ruled_not_launched')
    ),
    at_ms integer not null,
    decided_ms integer,
    why text not null default '',
    primary key (run_id, n),
    check ((verdict = 'open') = (decided_ms is null))
) strict, without rowid;

create unique index sends_one on sends (run_id)
where verdict in ('open', 'unknown', 'launched', 'ruled_not_launched');

create trigger sends_verdict_final before update on sends
when not (
    (old.verdict = 'open' and new.verdict <> 'open')
    or (old.verdict = 'unknown' and new.verdict in ('launched', 'ruled_not_launched'))
)
begin
    select raise(abort, 'the verdict on a send is final');
end;

create trigger sends_never_deleted before delete on sends begin
    select raise(abort, 'a send is never deleted');
end;

create table steps (
    run_id text not null references runs (id),
    n integer not null check (n >= 0),
    kind text not null,
    text text not null,
    at_ms integer not null,
    units integer not null check (units >= 0),
    done integer not null check (done in (0, 1)),
    primary key (run_id, n)
) strict, without rowid;
