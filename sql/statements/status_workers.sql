-- The workers that were heard of in the last hour.
select
    w.host,
    w.pid,
    w.version,
    w.queues,
    case
        when w.heartbeat_at <= now() - interval '15 seconds' then 'dead'
        when w.draining then 'draining'
        else 'alive'
    end as state,
    extract(epoch from w.heartbeat_at - w.started_at)::double precision as up_seconds
from rowcall.workers as w
where w.heartbeat_at > now() - interval '1 hour'
order by w.started_at
