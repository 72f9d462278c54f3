-- How many slots of queue $1 are taken over all workers, those of claim $2 apart: a repeated claim takes the same again.
select count(*)
from rowcall.slots as s
where s.queue = $1
  and s.token <> $2::uuid
  and s.taken_until > now()
  and s.worker not in (
      select w.id
      from rowcall.workers as w
      where w.heartbeat_at <= now() - interval '15 seconds'
  )
