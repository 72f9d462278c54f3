-- The customers of the demo, and what they have asked for; nothing where there are customers already. The numbers are of
-- those that nobody has.
with sample (nth, name, phone, action_type, details) as (
    values
        (1, 'Ada', '+12025550101', 'refund_request', '{"order": "1001"}'::jsonb),
        (2, 'Ben', '+12025550102', 'discount_request', '{"percent": 30}'),
        (3, 'Cleo', '+12025550103', 'order_change', '{"order": "1003", "size": "L"}'),
        (4, 'Dan', '+12025550104', 'refund_request', '{"order": "1004"}'),
        (5, 'Dan', '+12025550104', 'complaint', '{"about": "delivery"}'),
        (6, 'Eve', '+12025550105', 'discount_request', '{"percent": 50}'),
        (7, 'Finn', null, 'order_change', '{"order": "1007"}')
),

customer as (
    insert into public.contacts (name, phone)
    select s.name, s.phone
    from sample as s
    where not exists (select from public.contacts)
    group by s.name, s.phone
    order by min(s.nth)
    returning id, name
)

insert into public.actions (contact_id, action_type, details)
select c.id, s.action_type, s.details
from customer as c
join sample as s on s.name = c.name
order by s.nth
