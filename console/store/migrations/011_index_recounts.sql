-- A person who has the sums of the caps added up again changes what may be launched: an act, for the audit.

drop index events_acts;
create index events_acts on events (at_ms, id) where
    kind in (
        'approved', 'declined', 'stop', 'stop_reason', 'pause', 'resume', 'raise', 'stage', 'ruling', 'copy_accepted',
        'loss_accepted', 'read_only_lifted', 'sums_recounted'
    )
    or (kind = 'claimed' and instr(detail, '"why":') > 0);
