-- Doctor: schedules that cannot be read, that nobody runs, or whose last run did not work.
select
    'schedule ' || h.name as subject,
    case
        when h.state in ('paused', 'unread') then 'note'
        else 'problem'
    end as state,
    case h.state
        when 'broken' then 'it never runs: ' || h.reason
        when 'overdue' then 'overdue: ' || h.reason
        when 'paused' then 'paused: ' || h.reason
        when 'unread' then h.reason
        else format(
            'its last run, of %s, is %s: %s',
            to_char(h.last_began_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
            h.last_status,
            coalesce(h.last_error, 'no reason was recorded')
        )
    end as found,
    case h.state
        when 'broken' then format(
            'update rowcall.schedules set cron = %L, time_zone = %L where name = %L; with the right values', h.cron, h.time_zone, h.name
        )
        when 'overdue' then 'start a worker, or another one: rowcall run'
        when 'paused' then format('select rowcall.resume_schedule(%L);', h.name)
        when 'unread' then 'start a worker: rowcall run'
        else format('mend what it says, and then: select rowcall.run_schedule(%L);', h.name)
    end as mend
from rowcall.schedule_health as h
where h.state not in ('ok', 'running')
order by 1
