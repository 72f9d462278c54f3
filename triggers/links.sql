-- The triggers of public.links, in firing order.

create or replace trigger _050_complete_insert
before insert on public.links
for each row
when (new.status = 'creating' and new.claim_token is null)
execute function rowcall.complete_request('creating', 'create');

create or replace trigger _050_complete_update
before update of status, metadata, target_url on public.links
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.status = 'creating'
    and (
        new.status is distinct from old.status
        or new.metadata is distinct from old.metadata
        or new.target_url::text is distinct from old.target_url::text
    )
)
execute function rowcall.complete_request('creating', 'create');

create or replace trigger _100_stamp_insert
before insert on public.links
for each row
when (new.status = 'creating' and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due status counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status, metadata, target_url on public.links
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status = 'creating' or old.status = 'creating')
    and (
        new.status is distinct from old.status
        or new.metadata is distinct from old.metadata
        or new.target_url::text is distinct from old.target_url::text
    )
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.links
for each row
when (new.status = 'creating')
execute function rowcall.ring('links');

create or replace trigger _900_ring_update
after update of status, metadata, target_url on public.links
for each row
when (
    new.status = 'creating'
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('links');
