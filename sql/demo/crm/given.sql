-- The clients of the demo, a winery in Commerce7 and a shop in Shopify, with the tiers of their clubs; nothing where there are
-- clients already. Customers come with their orders.
with client as (
    insert into public.clients (crm_type, tenant, shop, currency)
    select s.crm_type, s.tenant, s.shop, 'USD'
    from (values (1, 'commerce7', 'north', null), (2, 'shopify', null, 'north')) as s (nth, crm_type, tenant, shop)
    where not exists (select from public.clients)
    order by s.nth
    returning id
)

insert into public.club_stages (client_id, name, threshold, duration, crm_club_id, tag)
select c.id, t.name, t.threshold, '1 year', lower(t.name), t.name || ' Club'
from client as c
cross join (values ('Silver', 100), ('Gold', 500)) as t (name, threshold)
order by c.id, t.threshold
