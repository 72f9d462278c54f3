-- Every attempt, with what its ending means.
create or replace view rowcall.history as
select
    a.id,
    a.settled_at,
    a.queue,
    a.key,
    a.generation,
    a.attempt,
    a.settled_as,
    case a.settled_as
        when 'done' then 'done'
        when 'retry' then 'did not work, is tried again'
        when 'failed' then 'failed for good'
        when 'wait' then 'waits, no attempt spent'
        when 'unknown' then 'parked: nobody knows whether it took effect'
        when 'superseded' then 'ended after the request had changed; the newest request counts'
        when 'lost' then 'cut off: the worker died or its lease ended'
        when 'cancelled' then 'taken back'
    end as meaning,
    a.error,
    a.response,
    a.duration,
    a.requested_by,
    a.worker
from rowcall.attempts as a;
