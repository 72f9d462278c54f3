-- The health of every queue, intervals as seconds.
select
    h.queue,
    h.target,
    h.state,
    h.reason,
    h.asked,
    h.running,
    h.waiting,
    h.failed,
    h.unknown,
    extract(epoch from h.oldest_age)::double precision as oldest_seconds,
    h.attempts_24h,
    h.success_percent_24h::double precision as success_percent_24h,
    extract(epoch from h.duration_p50)::double precision as duration_p50_seconds,
    extract(epoch from h.duration_p95)::double precision as duration_p95_seconds
from rowcall.queue_health as h
order by h.queue
