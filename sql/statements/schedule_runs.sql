-- The newest $2 runs, of schedule $1 where that is given, oldest first.
select *
from (
    select
        r.id,
        r.schedule,
        r.status,
        to_char(r.scheduled_for at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as scheduled_for,
        r.asked_by,
        to_char(r.began_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as began_at,
        extract(epoch from r.ended_at - r.began_at)::double precision as duration_seconds,
        r.rows,
        r.result,
        r.error
    from rowcall.schedule_runs as r
    where $1::text is null or r.schedule = $1
    order by r.id desc
    limit $2::bigint
) as newest
order by newest.id
