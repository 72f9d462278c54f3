-- Document 1's looks at everything: what is pending, what was done, who works, and what the last check of the codes has shown.

-- POST /api/actions/process-now: every worker looks at everything now. What waits for its time still does; why, the answer says.
create or replace function rowcall.process_now() returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
begin
    perform rowcall.sweep_now();
    return jsonb_build_object('success', true, 'message', 'every worker looks now') || rowcall.actions_status();
end
$$;

-- GET /api/actions/status: how many requests are not done, over all queues and in each.
create or replace function rowcall.actions_status() returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'pending_actions', coalesce(sum(h.asked + h.running + h.waiting), 0)::bigint,
        'due', coalesce(sum(h.asked), 0)::bigint,
        'running', coalesce(sum(h.running), 0)::bigint,
        'waiting', coalesce(sum(h.waiting), 0)::bigint,
        'failed', coalesce(sum(h.failed), 0)::bigint,
        'unknown', coalesce(sum(h.unknown), 0)::bigint,
        'by_status', (
            select coalesce(jsonb_object_agg(s.status, s.number), '{}')
            from (
                select w.status, count(*) as number
                from rowcall.work as w
                where w.state in ('asked', 'running', 'waiting')
                group by w.status
            ) as s
        ),
        'queues', coalesce(jsonb_object_agg(h.queue, jsonb_build_object(
            'pending', h.asked + h.running + h.waiting,
            'due', h.asked,
            'running', h.running,
            'waiting', h.waiting,
            'failed', h.failed,
            'unknown', h.unknown,
            'oldest_seconds', round(extract(epoch from h.oldest_age)),
            'held_up', rowcall.held_up(h.queue)
        )), '{}')
    )
    from rowcall.queue_health as h
$$;

-- GET /api/actions/history?limit=: the last attempts at document 1's requests, newest first.
create or replace function rowcall.actions_history(most bigint) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object('count', count(*), 'history', coalesce(jsonb_agg(
        jsonb_build_object(
            'queue', h.queue,
            'id', h.key,
            'code', case
                when h.queue = 'codes' then (select c.code from public.codes as c where c.id = h.key::rowcall.codes_key)
            end,
            'generation', h.generation,
            'attempt', h.attempt,
            'settled_as', h.settled_as,
            'meaning', h.meaning,
            'error', h.error,
            'requested_by', h.requested_by,
            'settled_at', h.settled_at,
            'duration_seconds', extract(epoch from h.duration)
        )
        order by h.id desc
    ), '[]'))
    from (
        select *
        from rowcall.history as h
        where h.queue in ('codes', 'orders', 'links', 'organizations')
        order by h.id desc
        limit most
    ) as h
$$;

-- POST /api/monitoring/check-now: the codes are compared with those in Fienta.
create or replace function rowcall.request_check() returns jsonb
language sql
set search_path = pg_catalog
as $$
    select jsonb_build_object('success', true, 'message', rowcall.check_codes_now())
$$;

-- GET /api/monitoring/status: the workers, what the last check of the codes has shown, and how each queue is worked.
create or replace function rowcall.monitoring_status() returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    with worker as (
        select
            w.*,
            case
                when w.heartbeat_at <= now() - interval '15 seconds' then 'dead'
                when w.draining then 'draining'
                else 'alive'
            end as state
        from rowcall.workers as w
        where w.heartbeat_at > now() - interval '1 hour'
    )

    select jsonb_build_object(
        'scheduler', case when exists (select from worker as w where w.state = 'alive') then 'running' else 'stopped' end,
        'workers', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'host', w.host, 'pid', w.pid, 'version', w.version, 'queues', w.queues, 'state', w.state,
                'started_at', w.started_at, 'heartbeat_at', w.heartbeat_at
            ) order by w.started_at), '[]')
            from worker as w
        ),
        'monitoring', (
            select jsonb_build_object(
                'status', f.status,
                'checked_at', f.checked_at,
                'error', f.error_message,
                'codes_in_fienta', f.listed,
                'codes_compared', f.compared,
                'usage', f.usage,
                'drift_count', f.drift_count,
                'drift', f.drift
            )
            from public.fienta_checks as f
            where f.name = 'codes'
        ),
        'queues', (
            select coalesce(jsonb_object_agg(h.queue, jsonb_build_object(
                'state', h.state,
                'reason', h.reason,
                'held_up', rowcall.held_up(h.queue),
                'attempts_24h', h.attempts_24h,
                'success_percent_24h', h.success_percent_24h
            )), '{}')
            from rowcall.queue_health as h
        )
    )
$$;
