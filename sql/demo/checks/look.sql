-- The checks named $1, as the demo shows them before and after.
select
    f.name,
    f.status,
    f.listed::text as listed,
    f.compared::text as compared,
    (select string_agg(format('%s %s', d ->> 'code', d ->> 'drift'), e'\n') from jsonb_array_elements(f.drift) as d) as drift,
    (select string_agg(format('%s %s', u.key, u.value), e'\n') from jsonb_each_text(f.usage) as u) as usage,
    f.error_message
from public.fienta_checks as f
where f.name = any ($1::text[])
order by f.name
