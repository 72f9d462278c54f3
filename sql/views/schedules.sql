-- One row a schedule: how it stands, and how its runs went.
create or replace view rowcall.schedule_health as
select
    s.id,
    s.name,
    s.description,
    s.cron,
    s.time_zone,
    case
        when s.planned = s.plan and s.problem is not null then 'broken'
        when r.id is not null then 'running'
        when o.since is not null then 'overdue'
        when s.paused then 'paused'
        when s.planned is distinct from s.plan then 'unread'
        when l.status <> 'done' then 'failing'
        else 'ok'
    end as state,
    case
        when s.planned = s.plan and s.problem is not null then s.problem
        when r.id is not null then format('since %s', to_char(r.began_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
        when o.since is not null then format(
            'since %s no worker took it: none is up, or all are busy with other runs',
            to_char(o.since at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"')
        )
        when s.paused then coalesce(s.paused_reason, 'no reason given')
        when s.planned is distinct from s.plan then 'no worker has read it yet'
        when l.status <> 'done' then l.error
    end as reason,
    case when s.planned = s.plan and not s.paused then s.next_run_at end as next_run_at,
    l.id as last_run,
    l.status as last_status,
    l.began_at as last_began_at,
    l.ended_at - l.began_at as last_duration,
    l.rows as last_rows,
    l.result as last_result,
    l.error as last_error,
    d.runs_24h,
    d.not_done_24h
from rowcall.schedules as s
left join rowcall.schedule_runs as r on r.schedule_id = s.id and r.status = 'running'
-- What was refused or left out says nothing about the statement.
left join lateral (
    select h.*
    from rowcall.schedule_runs as h
    where h.schedule_id = s.id
      and h.status in ('done', 'failed', 'lost', 'interrupted')
    order by h.began_at desc
    limit 1
) as l on true
cross join lateral (
    select min(a.since) as since
    from (values
        (case when s.planned = s.plan and not s.paused then s.next_run_at end),
        (s.run_asked_at)
    ) as a (since)
    where a.since < now() - interval '1 minute'
) as o
cross join lateral (
    select
        count(*) filter (where h.status <> 'running') as runs_24h,
        count(*) filter (where h.status not in ('running', 'done')) as not_done_24h
    from rowcall.schedule_runs as h
    where h.schedule_id = s.id
      and h.began_at > now() - interval '24 hours'
) as d;

-- The schedules in the columns of pg_cron's cron.job, for whoever monitored that. The user is the role of the last run.
create or replace view rowcall.cron_job as
select
    s.id as jobid,
    s.cron as schedule,
    s.statement as command,
    'localhost'::text as nodename,
    current_setting('port')::integer as nodeport,
    current_database()::text as database,
    (
        select r.role
        from rowcall.schedule_runs as r
        where r.schedule_id = s.id
        order by r.began_at desc
        limit 1
    ) as username,
    not s.paused as active,
    s.name as jobname
from rowcall.schedules as s;

-- The runs in the columns and with the words of pg_cron's cron.job_run_details: whatever was not done, failed.
create or replace view rowcall.cron_job_run_details as
select
    r.schedule_id as jobid,
    r.id as runid,
    null::integer as job_pid,
    current_database()::text as database,
    r.role as username,
    r.statement as command,
    case r.status
        when 'running' then 'running'
        when 'done' then 'succeeded'
        else 'failed'
    end as status,
    coalesce(r.error, r.result, case when r.rows = 1 then '1 row' else r.rows || ' rows' end) as return_message,
    r.began_at as start_time,
    r.ended_at as end_time
from rowcall.schedule_runs as r;
