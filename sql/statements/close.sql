-- Closes the breaker of target $1: an operation came through.
update rowcall.targets as t
set state = 'closed',
    reason = null,
    since = now(),
    trips = 0,
    next_probe_at = null
where t.target = $1
  and t.state = 'open'
returning t.target
