-- The indexes of schedules. The first is a fence: a schedule has one run at a time, whoever claims.

create unique index if not exists schedule_runs_running_key on rowcall.schedule_runs (schedule_id) where status = 'running';
create index if not exists schedule_runs_schedule_idx on rowcall.schedule_runs (schedule_id, began_at);
create index if not exists schedule_runs_began_at_idx on rowcall.schedule_runs using brin (began_at) with (autosummarize = on);
