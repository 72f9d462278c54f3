-- The links that have the slugs $1: where each leads, and for how many seconds yet; null is for ever.
select
    l.slug::text as slug,
    l.id::text as key,
    coalesce(l.target_url, '')::text as target_url,
    coalesce(l.status, '')::text as status,
    case
        when isfinite(l.expires_at) then extract(epoch from l.expires_at - clock_timestamp())::double precision
        when l.expires_at = '-infinity' then 0
    end as expires_in
from public.links as l
where l.slug = any ($1::text[])
