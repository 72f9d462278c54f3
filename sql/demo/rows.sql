-- The codes named $1, as the demo shows them before and after. `is_due`: a request stands that is not settled.
select
    c.id::text as key,
    c.code,
    c.status,
    c.attempts,
    c.generation,
    c.metadata,
    c.error_message,
    c.status in ('creating', 'updating', 'deleting', 'renaming') as is_due,
    coalesce(c.claimed_until > now(), false) as is_running
from public.codes as c
where c.code = any ($1::text[])
order by array_position($1::text[], c.code)
