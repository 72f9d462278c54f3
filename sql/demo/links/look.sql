-- The links named $1, as the demo shows them before and after.
select
    l.metadata ->> 'name' as name,
    l.status,
    l.slug,
    l.target_url,
    case when l.expires_at <= now() then 'over' end as expires_at,
    l.clicks::text as clicks,
    l.error_message
from public.links as l
where l.metadata ->> 'name' = any ($1::text[])
order by l.id
