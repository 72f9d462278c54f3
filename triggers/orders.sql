-- The triggers of public.orders for what is asked of Fienta, in firing order. They look at status and metadata only: a step of
-- fulfilment, which writes fulfillment_status, is never a request. What fulfilment makes of a status is in fulfillment.sql; it
-- comes after the first of these, for it goes by the status before a change.

create or replace trigger _040_complete_insert
before insert on public.orders
for each row
when (new.status = 'updating' and new.claim_token is null)
execute function rowcall.complete_request('updating', 'update');

create or replace trigger _040_complete_update
before update of status, metadata on public.orders
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.status = 'updating'
    and (new.status is distinct from old.status or new.metadata is distinct from old.metadata)
)
execute function rowcall.complete_request('updating', 'update');

create or replace trigger _040_set_aside_update
before update of status on public.orders
for each row
when (new.claim_token is not distinct from old.claim_token and old.status = 'updating' and new.status is distinct from 'updating')
execute function rowcall.set_aside_request();

create or replace trigger _100_stamp_insert
before insert on public.orders
for each row
when (new.status = 'updating' and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due status counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status, metadata on public.orders
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status = 'updating' or old.status = 'updating')
    and (new.status is distinct from old.status or new.metadata is distinct from old.metadata)
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.orders
for each row
when (new.status = 'updating')
execute function rowcall.ring('orders');

create or replace trigger _900_ring_update
after update of status, metadata on public.orders
for each row
when (
    new.status = 'updating'
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('orders');
