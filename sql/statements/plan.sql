-- Writes down what was worked out of plans $2 for schedules $1: their next times $3, or what is wrong with them $4.
-- A row that was edited meanwhile, or planned by another worker, stays as it is; one that somebody holds locked is left for
-- later, and so is a time that came meanwhile: none comes twice. Returns how many of them are as they should be.
with worked_out as (
    select w.*
    from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[]) as w (id, plan, next_run_at, problem)
),

free as materialized (
    select s.id, w.plan, w.next_run_at, w.problem
    from rowcall.schedules as s
    join worked_out as w on w.id = s.id
    where s.plan = w.plan
      and (s.planned is distinct from s.plan or (s.next_run_at is null and not s.paused))
      and (w.next_run_at is null or w.next_run_at > coalesce(s.ticked_at, '-infinity'))
    order by s.id
    for no key update of s skip locked
),

written as (
    update rowcall.schedules as s
    set planned = f.plan,
        next_run_at = f.next_run_at,
        problem = f.problem
    from free as f
    where s.id = f.id
    returning s.id
)

select count(*)
from worked_out as w
left join rowcall.schedules as s on s.id = w.id
where s.id is null
   or s.plan <> w.plan
   or (s.planned = s.plan and (s.next_run_at is not null or s.paused or s.problem is not null))
   or w.id in (select r.id from written as r)
