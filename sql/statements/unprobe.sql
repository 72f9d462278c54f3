-- Gives the right to probe target $1 back: its probe did not reach the provider and proved nothing.
update rowcall.targets as t
set next_probe_at = now()
where t.target = $1
  and t.state = 'open'
