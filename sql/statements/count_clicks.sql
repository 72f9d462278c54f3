-- Adds $2 clicks to the links $1. Returns those whose row somebody holds locked: they are offered again.
with clicked as materialized (
    select c.key, c.clicks
    from unnest($1::text[], $2::bigint[]) as c (key, clicks)
),

held as materialized (
    select l.id, c.key, c.clicks
    from clicked as c
    join public.links as l on l.id = c.key::rowcall.links_key
    order by l.id
    for no key update of l skip locked
),

counted as (
    update public.links as l
    set clicks = coalesce(l.clicks, 0) + h.clicks,
        last_clicked_at = now()
    from held as h
    where l.id = h.id
)

select c.key
from clicked as c
join public.links as l on l.id = c.key::rowcall.links_key
where not exists (select from held as h where h.key = c.key)
