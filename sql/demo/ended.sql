-- How every attempt at the rows $2 of the queue $1 ended after the attempt $3, oldest first.
select h.settled_as
from rowcall.history as h
where h.queue = $1
  and h.key = any ($2::text[])
  and h.id > $3
order by h.id
