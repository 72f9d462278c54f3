-- Takes up to $1 schedules that are due, or that somebody asked to run, for worker $2 under token $3, each with a run of its
-- own; a token that was used before gives the same runs again.
-- Promise: a time is taken once. One that comes while an earlier run goes on is refused; one that nobody took within a minute
-- is left out where its row says so; both are told. What is taken is planned anew by the next look. A run has its timeout, and
-- the time to connect, to be ended and to be told.
with mine as (
    select r.id, r.schedule_id, r.schedule, r.status, r.statement, r.atomic, r.timeout
    from rowcall.schedule_runs as r
    where r.token = $3::uuid
      and r.status = 'running'
),

due as materialized (
    select
        s.*,
        coalesce(s.planned = s.plan and not s.paused and s.next_run_at <= now(), false) as is_tick
    from rowcall.schedules as s
    where s.run_asked_at is not null
       or (s.planned = s.plan and not s.paused and s.next_run_at <= now())
    order by coalesce(s.run_asked_at, s.next_run_at), s.id
    limit case when exists (select from mine) then 0 else $1::bigint end
    for no key update skip locked
),

judged as (
    select
        d.*,
        case
            when b.began_at is not null then 'refused'
            when d.missed = 'skip' and d.run_asked_at is null and d.next_run_at < now() - interval '1 minute' then 'missed'
            else 'running'
        end as status,
        b.began_at as busy_since
    from due as d
    left join rowcall.schedule_runs as b on b.schedule_id = d.id and b.status = 'running'
),

taken as (
    insert into rowcall.schedule_runs (
        schedule_id, schedule, status, scheduled_for, asked_by, statement, atomic, timeout, token, worker, running_until,
        ended_at, error
    )
    select
        j.id,
        j.name,
        j.status,
        case when j.is_tick then j.next_run_at end,
        j.run_asked_by,
        j.statement,
        j.atomic,
        j.timeout,
        $3::uuid,
        $2::uuid,
        clock_timestamp() + j.timeout + interval '3 minutes',
        case when j.status <> 'running' then clock_timestamp() end,
        case j.status
            when 'refused' then format(
                'not begun: the run that began at %s is still running',
                to_char(j.busy_since at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"')
            )
            when 'missed' then 'left out: no worker began it within a minute of its time'
        end
    from judged as j
    order by coalesce(j.run_asked_at, j.next_run_at), j.id
    on conflict (schedule_id) where status = 'running' do nothing
    returning id, schedule_id, schedule, status, statement, atomic, timeout
),

moved as (
    update rowcall.schedules as s
    set ticked_at = case when d.is_tick then s.next_run_at else s.ticked_at end,
        next_run_at = case when d.is_tick then null else s.next_run_at end,
        run_asked_at = null,
        run_asked_by = null
    from due as d
    where s.id = d.id
      and d.id in (select t.schedule_id from taken as t)
)

select
    t.id,
    t.schedule,
    t.status,
    t.statement,
    t.atomic,
    extract(epoch from t.timeout)::double precision as timeout
from (
    select m.* from mine as m
    union all
    select n.* from taken as n
) as t
order by t.id
