-- Gives back the slots of queue $1 that rows $2 took under tokens $3.
delete from rowcall.slots as s
using unnest($2::text[], $3::uuid[]) as r (key, token)
where s.queue = $1
  and s.key = r.key
  and s.token = r.token
