-- Lets target $1 rest for $2 seconds from now: the pause between the end of one operation and the start of the next.
update rowcall.targets as t
set spent_until = greatest(t.spent_until, clock_timestamp() + $2::double precision * interval '1 second')
where t.target = $1
