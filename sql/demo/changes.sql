-- What the demo's tail shows: codes that changed since $1, or that a worker holds, with their attempts after $2, and now.
-- One statement, so that a row and its attempts are of one moment. A change may come to light later than its time says,
-- as may an attempt than its number; whoever looks, looks back a little and knows what it has seen.
select
    c.id::text as key,
    c.code,
    c.status,
    c.attempts,
    coalesce(q.max_attempts, c.max_attempts) as max_attempts,
    c.generation,
    c.error_message,
    c.requested_by,
    coalesce(c.claimed_until > now(), false) as is_running,
    extract(epoch from c.next_retry_at - now())::double precision as due_in,
    array(
        select row_to_json(ended)::jsonb
        from (
            select h.id, h.settled_as, h.meaning, h.error, extract(epoch from h.duration)::double precision as seconds
            from rowcall.history as h
            where h.queue = 'codes'
              and h.key = c.id::text
              and h.id > $2::bigint
            order by h.id
        ) as ended
    ) as ended,
    to_char(clock_timestamp(), 'HH24:MI:SS') as time,
    now() as looked_at
from public.codes as c
join rowcall.queues as q on q.queue = 'codes'
where c.claimed_by is not null
   or greatest(c.created_at, c.updated_at, c.requested_at) > coalesce($1::timestamptz, '-infinity') - interval '10 seconds'
order by c.next_retry_at, c.id
