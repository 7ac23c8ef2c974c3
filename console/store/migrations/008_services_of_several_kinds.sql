-- What services of several kinds report and limit. `server_limit` is the limit that the service puts on the run
-- (`tokens:2000000`, `usd:250c`, `none`); it replaces belt_tokens, which holds the limit of runs of earlier versions.

alter table runs add column server_limit text;
alter table runs add column tokens_cache_write integer not null default 0 check (tokens_cache_write >= 0);
alter table runs add column searches integer not null default 0 check (searches >= 0);
alter table runs add column active_ms integer not null default 0 check (active_ms >= 0);
alter table runs add column told_micro integer check (told_micro >= 0);

create trigger runs_server_limit_stays before update of server_limit on runs begin
    select raise(abort, 'what a run is never changes');
end;
