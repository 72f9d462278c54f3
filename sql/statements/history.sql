-- The newest $3 attempts, of queue $1 and key $2 where these are given, oldest first.
select *
from (
    select
        h.id,
        to_char(h.settled_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as settled_at,
        h.queue,
        h.key,
        h.generation,
        h.attempt,
        h.settled_as,
        h.meaning,
        h.error,
        h.response,
        extract(epoch from h.duration)::double precision as duration_seconds,
        h.requested_by
    from rowcall.history as h
    where ($1::text is null or h.queue = $1)
      and ($2::text is null or h.key = $2)
    order by h.id desc
    limit $3::bigint
) as newest
order by newest.id
