-- What document 4's endpoints call.

-- Makes one row of the queue run now: due, before others of its client, and rung for. The payload is that of
-- /api/cron/sync; what it says of the row beside its key must be true. The errors: 22023 with the wrong fields as a JSON array
-- in the detail, P0002 for a row that is not there. Says when it was asked, for rowcall.crm_sync_outcome, and what holds the
-- row up, if anything does.
create or replace function rowcall.start_crm_sync(payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
declare
    asked_at constant timestamptz := clock_timestamp();
    given constant text := payload ->> 'queueId';
    found public.crm_sync_queue;
    account record;
    wrong jsonb;
begin
    if coalesce(given, '') = '' then
        raise exception 'queueId is missing: it is the key of a row of crm_sync_queue'
            using errcode = '22023', detail = '["queueId"]';
    elsif jsonb_typeof(payload -> 'queueId') not in ('number', 'string') then
        raise exception 'queueId must be the key of a row of crm_sync_queue' using errcode = '22023', detail = '["queueId"]';
    end if;
    found := rowcall.named_crm_sync(given);
    select a.crm_type, a.target, a.is_open, a.reason into account from rowcall.crm_accounts as a where a.client_id = found.client_id;

    select jsonb_agg(t.field)
    into wrong
    from (values
        ('clientId', found.client_id::text),
        ('actionType', found.action_type),
        ('crmType', account.crm_type),
        ('stageId', found.stage_id::text),
        ('oldStageId', found.old_stage_id::text)
    ) as t (field, is_so)
    where payload ->> t.field is distinct from t.is_so
      and payload ->> t.field is not null;
    if wrong is not null then
        raise exception 'row % of crm_sync_queue says otherwise', found.id using errcode = '22023', detail = wrong::text;
    end if;

    if found.status = 'failed' then
        perform rowcall.retry_crm_sync_queue(given);
    end if;
    if found.status <> 'completed' then
        update public.crm_sync_queue as q
        set next_retry_at = least(q.next_retry_at, now()),
            priority = greatest(q.priority, 100)
        where q.id = found.id;
        perform pg_notify('rowcall', 'crm_sync_queue');
    end if;
    return jsonb_build_object(
        'key', found.id,
        'asked_at', asked_at,
        'held_up', case
            when found.status = 'completed' then null
            else coalesce(
                rowcall.held_up('crm_sync_queue'),
                case when account.is_open then format('%s is probed first: %s', account.target, account.reason) end,
                (
                    select format('row %s of the same customer goes first, and is tried again by itself', o.id)
                    from public.crm_sync_queue as o
                    where o.id = rowcall.crm_row_before(found)
                      and o.next_retry_at > now()
                )
            )
        end
    );
end
$$;

-- How a row of the queue stands, and whether an attempt has ended since it was asked for; null when it is gone.
create or replace function rowcall.crm_sync_outcome(wanted text, asked_at timestamptz) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'queueId', q.id,
        'status', q.status,
        'actionType', q.action_type,
        'attempts', q.attempts,
        'maxAttempts', q.max_attempts,
        'errorMessage', q.error_message,
        'nextRetryAt', case when q.status in ('pending', 'processing') then q.next_retry_at end,
        'retryInSeconds', case
            when q.status in ('pending', 'processing') then greatest(ceil(extract(epoch from q.next_retry_at - now())), 1)
        end,
        'customerCrmId', q.customer_crm_id,
        'membershipId', q.crm_membership_id,
        -- What was put off was put off to a later time than that at which it was asked for.
        'hasEnded', q.status in ('completed', 'failed')
            or (q.status = 'pending' and q.claimed_until is null and q.next_retry_at > asked_at)
    )
    from public.crm_sync_queue as q
    where q.id::text = wanted
$$;

-- Document 4's manual triggers: `trigger` (with a job), `test`, `sync`.
create or replace function rowcall.run_cron(action text, job text) returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant text := case action
        when 'sync' then 'process-crm-sync-queue'
        when 'trigger' then coalesce(nullif(job, ''), 'process-expired-enrollments')
        when 'test' then 'test-process-expired-enrollments'
    end;
    result jsonb;
begin
    if wanted is null then
        raise exception 'there is no action %', coalesce(action, 'null')
            using errcode = '22023', detail = '["action"]', hint = 'action is trigger, test or sync';
    elsif wanted = 'process-expired-enrollments' then
        select to_jsonb(p) into result from rowcall.process_expired_enrollments() as p;
    elsif wanted = 'process-crm-sync-queue' then
        select to_jsonb(p) into result from rowcall.process_crm_sync_queue() as p;
    elsif wanted = 'test-process-expired-enrollments' then
        select jsonb_build_object(
            'would_expire', count(*),
            'would_end_flags', count(*) filter (where t.would_end_flags),
            'would_queue', count(t.would_queue),
            'first', coalesce(jsonb_agg(to_jsonb(t) order by t.nth) filter (where t.nth <= 100), '[]')
        )
        into result
        from (select p.*, row_number() over () as nth from rowcall.test_process_expired_enrollments() as p) as t;
    else
        raise exception 'there is no job %', job
            using errcode = '22023', detail = '["job"]', hint = 'job is process-expired-enrollments or process-crm-sync-queue';
    end if;
    return jsonb_build_object('success', true, 'job', wanted, 'result', result);
end
$$;

-- The jobs as document 4's users know them from pg_cron, their last twenty runs, and how the queue stands.
create or replace function rowcall.cron_status() returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'jobs', coalesce(
            (
                select jsonb_agg(
                    to_jsonb(j) || jsonb_build_object('next_run_at', s.next_run_at, 'time_zone', s.time_zone) order by j.jobid
                )
                from rowcall.cron_job as j
                join rowcall.schedules as s on s.id = j.jobid
                where j.jobname in ('process-expired-enrollments', 'process-crm-sync-queue')
            ),
            '[]'
        ),
        'runs', coalesce(
            (
                select jsonb_agg(to_jsonb(r) order by r.start_time desc)
                from (
                    select d.jobid, d.runid, d.status, d.return_message, d.start_time, d.end_time
                    from rowcall.cron_job_run_details as d
                    join rowcall.cron_job as j on j.jobid = d.jobid
                    where j.jobname in ('process-expired-enrollments', 'process-crm-sync-queue')
                    order by d.start_time desc
                    limit 20
                ) as r
            ),
            '[]'
        ),
        'queue', (
            select jsonb_object_agg(s.status, s.count)
            from (select q.status, count(*) as count from public.crm_sync_queue as q group by q.status) as s
        )
    )
$$;
