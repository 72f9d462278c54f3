-- What a person may type to have a short link, to follow it, and to look at it.
with newest as (
    select l.short_url
    from public.links as l
    where l.status = 'active'
    order by l.id desc
    limit 1
)

select l.what, l.line
from (
    select 1 as nth, 'Have a short link' as what, 'insert into links (target_url) values (''https://example.com/summer'') returning id;' as line
    union all
    select
        2,
        'Follow it; a person''s click counts:',
        format('curl -si -A Firefox %s', coalesce((select n.short_url from newest as n), '{fake}/l/<its slug>'))
    union all
    select 3, 'Look:', 'select id, status, short_url, target_url, clicks, error_message from links;'
) as l
order by l.nth
