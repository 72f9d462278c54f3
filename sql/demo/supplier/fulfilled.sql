-- Whether all $2 orders for the number $1 have their bundle, on the order and on its row, and the last one took $3 attempts.
select count(*)::text = $2::text
    and bool_and(o.fulfillment_status = 'success' and l.status = 'success' and l.fulfilled_at is not null)
    and (array_agg(l.attempt_number::text order by o.created_at desc, o.id))[1] = $3::text
from public.orders as o
join public.fulfillment_logs as l on l.order_id = o.id
where o.phone_number = $1::text
