-- In how many seconds the next schedule is due; negative when one is, null when none is planned.
select
    extract(
        epoch from least(min(s.run_asked_at), min(s.next_run_at) filter (where s.planned = s.plan and not s.paused))
            - clock_timestamp()
    )::double precision as due_in
from rowcall.schedules as s
