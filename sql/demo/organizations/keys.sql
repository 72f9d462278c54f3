-- The keys in the queue of the organizations named $1.
select o.id::text
from public.organizations as o
where o.name = any ($1::text[])
