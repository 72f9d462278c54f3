-- The keys in the queue of the orders for the numbers $1.
select l.id::text
from public.fulfillment_logs as l
join public.orders as o on o.id = l.order_id
where o.phone_number = any ($1::text[])
