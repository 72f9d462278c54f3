-- Takes slots of queue $1 for rows $2 under token $3 for worker $4 and $5 seconds; forgets those whose time is over.
with over as (
    delete from rowcall.slots as s
    where s.queue = $1
      and s.taken_until <= now()
)

insert into rowcall.slots (queue, key, token, worker, taken_until)
select $1, k.key, $3::uuid, $4::uuid, now() + $5::double precision * interval '1 second'
from unnest($2::text[]) as k (key)
on conflict do nothing
