-- The orders for the numbers $1 with their rows of fulfilment, as the demo shows them before and after.
select
    format('%s for %s', o.package, o.phone_number) as "order",
    l.status,
    o.fulfillment_status,
    format('%s/%s', l.attempt_number, l.max_attempts) as attempt,
    case when l.duplicate_of is not null then 'set' end as duplicate_of,
    l.error_message
from public.orders as o
left join public.fulfillment_logs as l on l.order_id = o.id
where o.phone_number = any ($1::text[])
order by o.created_at, o.id
