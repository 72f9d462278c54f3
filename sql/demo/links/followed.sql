-- Whether the link named $1 stands at $2, has a slug of eleven letters that nobody guesses, and $3 clicks.
select l.status = $2::text
    and l.slug ~ '^[0-9a-hjkmnp-tv-z]{11}$'
    and l.short_url like '%/l/' || l.slug
    and l.clicks::text = $3::text
from public.links as l
where l.metadata ->> 'name' = $1::text
