-- What is asked for and not done, what needs a person first, then the oldest.
select
    w.queue,
    w.key,
    w.label,
    w.state,
    w.status,
    w.attempts,
    w.max_attempts,
    w.reason,
    extract(epoch from w.next_retry_at - now())::double precision as next_retry_in_seconds,
    w.requested_by,
    w.needs_person
from rowcall.work as w
order by not (w.state = 'unknown' and w.needs_person), w.state <> 'unknown', w.state = 'failed', w.requested_at
limit 50
