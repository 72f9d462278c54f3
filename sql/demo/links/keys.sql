-- The keys in the queue of the links named $1.
select l.id::text
from public.links as l
where l.metadata ->> 'name' = any ($1::text[])
