-- Worker $1 lives; $2 says whether it is draining. Returns the workers that are dead: silent for 15 s.
-- No row comes back when this worker was itself silent for so long: its claims are open to others, so it must go on under
-- a new name, and never claims again under the old one.
update rowcall.workers as w
set heartbeat_at = now(),
    draining = $2
where w.id = $1::uuid
  and w.heartbeat_at > now() - interval '15 seconds'
returning array(
    select d.id
    from rowcall.workers as d
    where d.heartbeat_at <= now() - interval '15 seconds'
) as dead
