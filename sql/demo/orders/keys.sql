-- The keys in the queue of the orders of the customers $1.
select o.id::text
from public.orders as o
where o.customer = any ($1::text[])
