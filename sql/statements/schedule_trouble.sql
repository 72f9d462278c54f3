-- How many schedules need a look.
select
    count(*) filter (where h.state = 'overdue') as overdue,
    count(*) filter (where h.state = 'failing') as failing,
    count(*) filter (where h.state = 'broken') as broken
from rowcall.schedule_health as h
