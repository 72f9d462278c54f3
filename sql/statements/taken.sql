-- How many slots of the target of queue $1 are taken over all workers and queues, those of claim $2 apart, with or without its mark: a repeated claim
-- takes the same again.
select count(*)
from rowcall.slots as s
where s.queue in (
      select q.queue
      from rowcall.queues as q
      where q.target = (select o.target from rowcall.queues as o where o.queue = $1)
  )
  and s.token not in ($2::uuid, overlay($2::uuid::text placing 'e' from 15 for 1)::uuid)
  and s.taken_until > statement_timestamp()
  and s.worker not in (
      select w.id
      from rowcall.workers as w
      where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
  )
