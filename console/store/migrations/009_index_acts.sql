-- What people did, for the audit: without this index it would read every event of every run. `claimed` has a reason only
-- where a person asked for a rerun.

create index events_acts on events (at_ms, id) where
    kind in (
        'approved', 'declined', 'stop', 'stop_reason', 'pause', 'resume', 'raise', 'stage', 'ruling', 'copy_accepted',
        'loss_accepted', 'read_only_lifted'
    )
    or (kind = 'claimed' and instr(detail, '"why":') > 0);
