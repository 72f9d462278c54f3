-- Writes down that run $1, held under token $2, was interrupted because of $3, and with $4, which says that nothing of it took
-- effect, gives its time back where its row makes up for missed runs. Returns whether it did.
with ended as (
    update rowcall.schedule_runs as r
    set status = 'interrupted',
        error = $3,
        ended_at = clock_timestamp()
    where r.id = $1
      and r.token = $2::uuid
      and r.status = 'running'
    returning r.schedule_id, r.scheduled_for, r.asked_by
),

given_back as (
    update rowcall.schedules as s
    set next_run_at = coalesce(e.scheduled_for, s.next_run_at),
        run_asked_at = case when e.scheduled_for is null then now() else s.run_asked_at end,
        run_asked_by = case when e.scheduled_for is null then e.asked_by else s.run_asked_by end
    from ended as e
    where s.id = e.schedule_id
      and s.missed = 'once'
      and s.planned = s.plan
      and not s.paused
      and $4
    returning s.id
)

select exists (select from given_back) as given_back
from ended as e
