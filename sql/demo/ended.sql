-- How every attempt at the code named $1 ended after the attempt $2, oldest first.
select h.settled_as
from rowcall.history as h
join public.codes as c on c.id::text = h.key
where h.queue = 'codes'
  and c.code = $1
  and h.id > $2
order by h.id
