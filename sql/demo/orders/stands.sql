-- Whether the order of the customer $1 stands at $2, with nothing left of its request.
select o.status = $2::text
    and o.error_message is null
    and not o.metadata ?| '{action_failed,new_status,new_metadata}'::text[]
    and (o.status = 'pending' or o.metadata ? 'updated_in_fienta_at')
from public.orders as o
where o.customer = $1::text
