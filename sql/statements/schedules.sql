-- Every schedule and how it stands, times as RFC 3339.
select
    h.name,
    h.description,
    h.cron,
    h.time_zone,
    h.state,
    h.reason,
    to_char(h.next_run_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as next_run_at,
    h.last_status,
    to_char(h.last_began_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as last_began_at,
    extract(epoch from h.last_duration)::double precision as last_duration_seconds,
    h.last_rows,
    h.last_result,
    h.last_error,
    h.runs_24h,
    h.not_done_24h
from rowcall.schedule_health as h
order by h.name
