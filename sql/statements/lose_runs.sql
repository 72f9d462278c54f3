-- Ends runs that nobody runs any more: their worker is dead, or their time is long over. Returns them.
-- A run that is about to commit its outcome holds its row, and is passed over. Once this has committed, no outcome of a run
-- that it ended can be recorded, so what its statement did, where it is atomic, is rolled back; its session is ended here.
with over as materialized (
    select r.id
    from rowcall.schedule_runs as r
    where r.status = 'running'
      and (
          r.running_until <= clock_timestamp()
          or not exists (
              select
              from rowcall.workers as w
              where w.id = r.worker
                and w.heartbeat_at > now() - interval '15 seconds'
          )
      )
    for no key update skip locked
),

lost as (
    update rowcall.schedule_runs as r
    set status = 'lost',
        ended_at = clock_timestamp(),
        error = case
            when r.atomic then 'cut off: its worker died; nothing of it took effect'
            else 'cut off: its worker died; whether it took effect is not known'
        end
    from over as o
    where r.id = o.id
    returning r.id, r.schedule
)

select
    l.id,
    l.schedule,
    (
        select count(*) filter (where pg_terminate_backend(a.pid))
        from pg_stat_activity as a
        where a.application_name = 'rowcall run ' || l.id
          and a.datname = current_database()
          and a.usename = current_user
    ) as sessions
from lost as l
