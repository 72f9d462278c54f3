-- The keys in the queue of the checks named $1.
select f.id::text
from public.fienta_checks as f
where f.name = any ($1::text[])
