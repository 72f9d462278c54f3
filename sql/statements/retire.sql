-- Worker $1 has ended and holds nothing. Others that have been dead for longer than any lease go with it.
delete from rowcall.workers as w
where w.id = $1::uuid
   or w.heartbeat_at < now() - (select max(q.lease + q.timeout) + interval '1 day' from rowcall.queues as q)
