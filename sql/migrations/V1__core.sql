-- The schema of the engine: policy, workers, history, targets. Nothing here is a jobs table: the work is in your own rows.

create schema if not exists rowcall;

-- Policy, one row a queue. Edit it with SQL; every worker picks the change up while it runs.
create table if not exists rowcall.queues (
    queue text primary key,
    target text not null,
    paused boolean not null default false,
    paused_reason text,
    paused_by text,
    paused_at timestamptz,
    slots integer not null default 10,
    batch integer not null default 100,
    lease interval not null default '5 minutes',
    timeout interval not null default '1 minute',
    retry_delays interval[] not null default '{30 seconds,1 minute,2 minutes}',
    max_attempts integer,
    cluster_slots integer,
    rate_per_second double precision,
    rate_burst integer not null default 1,
    history boolean not null default true,
    history_kept interval not null default '30 days',
    constraint queues_bounds_are_positive check (
        slots > 0
        and batch between 1 and 5000
        and lease > interval '0'
        and timeout > interval '0'
        and cardinality(retry_delays) > 0
        and history_kept > interval '0'
        and (max_attempts is null or max_attempts > 0)
        and (cluster_slots is null or cluster_slots > 0)
        and (rate_per_second is null or rate_per_second > 0)
        and rate_burst > 0
    )
);

comment on table rowcall.queues is 'How each queue is worked. Edit with SQL; workers pick it up live.';
comment on column rowcall.queues.target is 'The provider that the operations call; breaker and rate belong to it.';
comment on column rowcall.queues.slots is 'Operations that one worker runs at a time.';
comment on column rowcall.queues.batch is 'Rows that one claim takes at most.';
comment on column rowcall.queues.lease is 'How long a claim holds while its worker lives; never shorter than timeout and a grace.';
comment on column rowcall.queues.timeout is 'How long one operation may take.';
comment on column rowcall.queues.retry_delays is 'The delay after the first, second, … failure; the last one repeats.';
comment on column rowcall.queues.max_attempts is 'When set, bounds every row of the queue in place of the row''s own max_attempts.';
comment on column rowcall.queues.cluster_slots is 'Operations that all workers together run at a time; null is no bound.';
comment on column rowcall.queues.rate_per_second is 'How often operations may start, over all workers; null is no bound.';
comment on column rowcall.queues.history is 'Whether finished attempts are kept in rowcall.attempts.';

-- One row a worker process. A worker whose heartbeat is older than 15 s is dead, and its claims are open to others.
create table if not exists rowcall.workers (
    id uuid primary key,
    host text not null,
    pid integer not null,
    version text not null,
    queues text[] not null,
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    draining boolean not null default false
) with (fillfactor = 50);

-- One row a target: the breaker, and the time at which its rate is spent up to (GCRA).
create table if not exists rowcall.targets (
    target text primary key,
    state text not null default 'closed',
    reason text,
    since timestamptz not null default now(),
    trips integer not null default 0,
    next_probe_at timestamptz,
    spent_until timestamptz not null default '-infinity',
    constraint targets_state_is_known check (state in ('closed', 'open')),
    constraint targets_open_has_a_probe check (state = 'closed' or (next_probe_at is not null and reason is not null))
) with (fillfactor = 50);

comment on column rowcall.targets.trips is 'How often the breaker opened in a row without closing; lengthens the next probe''s delay.';

-- Slots of queues that have cluster_slots: which rows all workers together run. It bounds, and says nothing about the work:
-- a slot that nobody gave back is free again when its worker is dead or its lease has ended.
create table if not exists rowcall.slots (
    queue text not null,
    key text not null,
    token uuid not null,
    worker uuid not null,
    taken_until timestamptz not null,
    primary key (queue, key, token)
);

-- History: what became of every attempt. Narrow, appended by the settle statement, pruned by the sweep.
create table if not exists rowcall.attempts (
    id bigint generated always as identity primary key,
    queue text not null,
    key text not null,
    generation integer not null,
    attempt integer not null,
    settled_as text not null,
    error text,
    response jsonb,
    worker uuid,
    requested_by text,
    settled_at timestamptz not null default now(),
    duration interval,
    constraint attempts_settled_as_is_known check (
        settled_as in ('done', 'retry', 'failed', 'wait', 'unknown', 'superseded', 'lost', 'cancelled')
    )
);

-- What the last migrate installed of functions, views and triggers, so that drift can be told.
create table if not exists rowcall.installed (
    object text primary key,
    fingerprint text not null,
    installed_at timestamptz not null default now()
);
