-- Gives back the slots of queue $1 that rows $2 took under tokens $3, and wakes the queues that wait for the same target.
with released as (
    delete from rowcall.slots as s
    using unnest($2::text[], $3::uuid[]) as r (key, token)
    where s.queue = $1
      and s.key = r.key
      and s.token = r.token
)

select pg_notify('rowcall', o.queue)
from rowcall.queues as q
join rowcall.queues as o on o.target = q.target and o.queue <> q.queue
where q.queue = $1
  and o.cluster_slots is not null
