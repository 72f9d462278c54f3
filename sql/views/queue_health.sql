-- One row a queue: what stands in it, how old the oldest request is, and how the last 24 hours went.
create or replace view rowcall.queue_health as
select
    q.queue,
    q.target,
    case
        when q.paused then 'paused'
        when t.state = 'open' then 'breaker open'
        else 'open'
    end as state,
    case
        when q.paused then q.paused_reason
        when t.state = 'open' then t.reason
        when p.open > 0 then format('%s of %s accounts rest, the longest: %s', p.open, p.parts, p.reason)
    end as reason,
    w.asked,
    w.running,
    w.waiting,
    w.failed,
    w.unknown,
    w.oldest_age,
    a.attempts_24h,
    a.done_24h,
    case when a.ended_24h > 0 then round(100.0 * a.done_24h / a.ended_24h, 1) end as success_percent_24h,
    a.duration_p50,
    a.duration_p95
from rowcall.queues as q
join rowcall.targets as t on t.target = q.target
cross join lateral (
    select
        count(*) as parts,
        count(*) filter (where o.state = 'open') as open,
        (array_agg(format('%s: %s', o.target, o.reason) order by o.since) filter (where o.state = 'open'))[1] as reason
    from rowcall.targets as o
    where o.part_of = t.target
) as p
cross join lateral (
    select
        count(*) filter (where k.state = 'asked') as asked,
        count(*) filter (where k.state = 'running') as running,
        count(*) filter (where k.state = 'waiting') as waiting,
        count(*) filter (where k.state = 'failed') as failed,
        count(*) filter (where k.state = 'unknown') as unknown,
        max(now() - k.requested_at) filter (where k.state in ('asked', 'running', 'waiting')) as oldest_age
    from rowcall.work as k
    where k.queue = q.queue
) as w
cross join lateral (
    select
        count(*) as attempts_24h,
        count(*) filter (where h.settled_as = 'done') as done_24h,
        count(*) filter (where h.settled_as in ('done', 'failed', 'unknown')) as ended_24h,
        percentile_cont(0.5) within group (order by h.duration) as duration_p50,
        percentile_cont(0.95) within group (order by h.duration) as duration_p95
    from rowcall.attempts as h
    where h.queue = q.queue
      and h.settled_at > now() - interval '24 hours'
) as a;
