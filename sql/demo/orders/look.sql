-- The orders of the customers $1, as the demo shows them before and after.
select
    o.customer,
    o.status,
    o.metadata ->> 'fienta_order_id' as fienta_order_id,
    concat_ws(
        e'\n',
        'seat ' || (o.metadata ->> 'seat'),
        case when o.metadata ? 'updated_in_fienta_at' then 'updated_in_fienta_at' end,
        case when o.metadata ? 'action_failed' then 'action_failed' end
    ) as metadata,
    o.error_message
from public.orders as o
where o.customer = any ($1::text[])
order by o.customer
