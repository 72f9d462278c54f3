-- Takes slots of queue $1 for rows $2 under tokens $3 for worker $4 and $5 seconds; forgets those whose time is over.
with over as (
    delete from rowcall.slots as s
    where s.queue = $1
      and s.taken_until <= statement_timestamp()
)

insert into rowcall.slots (queue, key, token, worker, taken_until)
select $1, k.key, k.token, $4::uuid, statement_timestamp() + $5::double precision * interval '1 second'
from unnest($2::text[], $3::uuid[]) as k (key, token)
on conflict do nothing
