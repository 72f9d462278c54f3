-- Schedules: SQL that comes at the times of a cron text, and what became of every run.

-- One row a schedule. Edit it with SQL; every worker picks the change up while it runs.
create table if not exists rowcall.schedules (
    id bigint generated always as identity primary key,
    name text not null,
    description text,
    cron text not null,
    time_zone text not null default 'UTC',
    statement text not null,
    atomic boolean not null default true,
    timeout interval not null default '10 minutes',
    missed text not null default 'once',
    paused boolean not null default false,
    paused_reason text,
    paused_by text,
    paused_at timestamptz,
    runs_kept interval not null default '30 days',
    plan text not null generated always as (
        cron || ' in ' || time_zone || case when paused then ', paused' else '' end
    ) stored,
    planned text,
    next_run_at timestamptz,
    problem text,
    ticked_at timestamptz,
    run_asked_at timestamptz,
    run_asked_by text,
    created_at timestamptz not null default now(),
    constraint schedules_name_key unique (name),
    constraint schedules_texts_are_there check (
        name = btrim(name)
        and length(name) between 1 and 100
        and length(cron) between 1 and 200
        and btrim(statement) <> ''
    ),
    constraint schedules_missed_is_known check (missed in ('once', 'skip')),
    constraint schedules_timeout_is_possible check (timeout between interval '1 second' and interval '24 days'),
    constraint schedules_runs_kept_is_positive check (runs_kept > interval '0'),
    constraint schedules_times_are_finite check (isfinite(next_run_at) and isfinite(ticked_at) and isfinite(run_asked_at))
);

comment on table rowcall.schedules is
    'SQL that runs at the times of a cron text, as the role of the worker. Edit with SQL; workers pick it up live.';
comment on column rowcall.schedules.cron is
    'Five fields (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly, @yearly.';
comment on column rowcall.schedules.time_zone is 'In which the cron text is read: UTC, or a name such as Europe/Berlin.';
comment on column rowcall.schedules.statement is
    'One or more statements, run by the worker as its own role. What is external goes through a row of a queue.';
comment on column rowcall.schedules.atomic is
    'Whether the statement and the record of its run commit together. False for what no transaction may hold: vacuum, a call that commits.';
comment on column rowcall.schedules.timeout is 'How long one run may take.';
comment on column rowcall.schedules.missed is
    'What becomes of times at which no worker was there: once makes up for all of them by one run, skip leaves them out.';
comment on column rowcall.schedules.runs_kept is 'How long its rows of rowcall.schedule_runs are kept.';
comment on column rowcall.schedules.plan is 'What the next time is worked out of. Differs from planned until a worker has read it.';
comment on column rowcall.schedules.next_run_at is 'Worked out by a worker. Set it to run at another moment once.';
comment on column rowcall.schedules.problem is 'Why the cron text or the time zone cannot be read.';
comment on column rowcall.schedules.ticked_at is 'The last time that came: no time up to it comes again, whatever a clock does.';

-- History: one row a run, made when a worker takes it and before the statement begins. The schedule may be gone.
create table if not exists rowcall.schedule_runs (
    id bigint generated always as identity primary key,
    schedule_id bigint not null,
    schedule text not null,
    status text not null,
    scheduled_for timestamptz,
    asked_by text,
    statement text not null,
    atomic boolean not null,
    timeout interval not null,
    role text not null default current_user,
    token uuid not null,
    worker uuid not null,
    began_at timestamptz not null default clock_timestamp(),
    running_until timestamptz not null,
    ended_at timestamptz,
    rows bigint,
    result text,
    error text,
    constraint schedule_runs_status_is_known check (
        status in ('running', 'done', 'failed', 'lost', 'interrupted', 'refused', 'missed')
    ),
    constraint schedule_runs_end_is_told check ((status = 'running') = (ended_at is null))
);

comment on table rowcall.schedule_runs is 'What became of every run of a schedule. Pruned by the sweep.';
comment on column rowcall.schedule_runs.scheduled_for is 'The time that it ran for; null when somebody asked for it.';
comment on column rowcall.schedule_runs.statement is 'As it was when the run began, like atomic and timeout.';
comment on column rowcall.schedule_runs.running_until is 'After this it counts as lost, even if its worker lives.';
comment on column rowcall.schedule_runs.rows is 'Rows that the last statement of it returned or changed.';
comment on column rowcall.schedule_runs.result is 'The first row that its last statement returned, an excerpt.';
