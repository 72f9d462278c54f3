-- What customers have ordered at Fienta; nothing where the first of them has an order already. Of the last number Fienta knows
-- nothing. And the demo's patience: nobody waits minutes to see what becomes of a failure.
with policy as (
    update rowcall.queues
    set retry_delays = '{1 second,2 seconds,4 seconds}'
    where queue = 'orders'
      and retry_delays[1] = '30 seconds'
)

insert into public.orders (customer, metadata)
select s.customer, jsonb_build_object('fienta_order_id', s.number)
from (values ('ada', 'T-1001'), ('ben', 'T-1002'), ('cleo', 'T-1003'), ('dan', 'T-9999')) as s (customer, number)
where not exists (select from public.orders as o where o.customer = 'ada')
