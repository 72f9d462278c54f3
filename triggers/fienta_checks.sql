-- The triggers of public.fienta_checks, in firing order.

create or replace trigger _100_stamp_insert
before insert on public.fienta_checks
for each row
when (new.status = 'checking' and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due status counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status on public.fienta_checks
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status = 'checking' or old.status = 'checking')
    and new.status is distinct from old.status
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.fienta_checks
for each row
when (new.status = 'checking')
execute function rowcall.ring('fienta_checks');

create or replace trigger _900_ring_update
after update of status on public.fienta_checks
for each row
when (
    new.status = 'checking'
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('fienta_checks');
