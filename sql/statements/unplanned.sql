-- Schedules whose next time is to be worked out: new ones, edited ones, and those whose last time has come. With $1 also
-- those that could not be read: a newer rowcall may know a text, or a zone, that an older one did not.
-- No time up to the last one comes again, even where the clock of another server is behind. What came before anybody had read
-- a new one is missed like any other; of an edited one only what comes after the edit is read counts.
select
    s.id,
    s.plan,
    s.cron,
    s.time_zone,
    s.paused,
    greatest(
        case when s.planned is null and s.missed = 'once' then least(s.created_at, now()) else now() end,
        s.ticked_at
    ) as after
from rowcall.schedules as s
where s.planned is distinct from s.plan
   or (s.problem is null and s.next_run_at is null and not s.paused)
   or (s.problem is not null and $1)
order by s.id
limit 1000
