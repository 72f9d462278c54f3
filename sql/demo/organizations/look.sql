-- The organizations named $1, as the demo shows them before and after.
select
    o.name,
    o.status,
    o.generation::text as generation,
    format('%s/%s', o.attempts, o.max_attempts) as attempt,
    case when o.synced_at is not null then 'set' end as synced_at,
    o.error_message
from public.organizations as o
where o.name = any ($1::text[])
order by o.id
