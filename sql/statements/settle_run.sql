-- Writes down how run $1, held under token $2, ended: $3, with the rows $4, the result $5 and the error $6. With $7 only while
-- the transaction that the statement began in goes on. No row comes back when it is not ours to write down any more.
update rowcall.schedule_runs as r
set status = $3,
    rows = $4,
    result = $5,
    error = $6,
    ended_at = clock_timestamp()
where r.id = $1
  and r.token = $2::uuid
  and r.status = 'running'
  and (not $7 or current_setting('rowcall.run', true) = r.id::text)
returning r.id
