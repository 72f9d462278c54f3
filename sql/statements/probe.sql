-- Takes the right to probe target $1, for $2 seconds: one worker, one row. No row comes back when another has it.
update rowcall.targets as t
set next_probe_at = now() + $2::double precision * interval '1 second'
where t.target = $1
  and t.state = 'open'
  and t.next_probe_at <= now()
returning t.target
