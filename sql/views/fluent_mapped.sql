-- What the tickets that a sync has read are here: the mapping of FluentSupport's words to those of a request. Of a ticket
-- that was read twice, the later reading counts.
create or replace view rowcall.fluent_mapped as
select
    r.sync_id,
    r.generation,
    r.id as fluent_id,
    r.is_wanted,
    r.title,
    r.status,
    r.priority,
    r.client_priority,
    r.product,
    r.agent as agent_name,
    r.customer as customer_name,
    r.email as customer_email,
    r.responses as response_count,
    r.created_at as ticket_created_at,
    r.updated_at as ticket_updated_at,
    r.resolved_at,
    -- As the site shows them: its own time of day.
    r.created_local::date as date,
    r.created_local::time(0) as time,
    concat_ws(E'\n\n', nullif(r.title, ''), nullif(r.content, '')) as description,
    coalesce(u.urgency, any_urgency.urgency, 'MEDIUM') as urgency,
    coalesce(c.category, any_category.category, 'Support') as category,
    nullif(r.product, '') as website_url
from (
    select distinct on (p.sync_id, p.generation, t.id)
        p.sync_id,
        p.generation,
        t.*
    from rowcall.fluent_pages as p
    cross join lateral jsonb_to_recordset(p.tickets) as t (
        id bigint,
        is_wanted boolean,
        title text,
        content text,
        status text,
        priority text,
        client_priority text,
        product text,
        agent text,
        customer text,
        email text,
        responses integer,
        created_local timestamp,
        created_at timestamptz,
        updated_at timestamptz,
        resolved_at timestamptz
    )
    order by p.sync_id, p.generation, t.id, p.nth desc
) as r
left join public.fluent_urgencies as u
    on u.priority = lower(btrim(coalesce(nullif(r.priority, ''), r.client_priority)))
left join public.fluent_urgencies as any_urgency on any_urgency.priority = '*'
left join public.fluent_categories as c on c.product = lower(btrim(r.product))
left join public.fluent_categories as any_category on any_category.product = '*';
