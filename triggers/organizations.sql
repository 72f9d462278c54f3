-- The triggers of public.organizations, in firing order.

-- What is told of an organization is its row. Whoever changes anything of it while it is to be told asks anew: without the
-- time of the request the next triggers see that. Generated columns are not computed yet, and follow from the others.
create or replace function rowcall.touch_organization() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    workers constant text[] := '{
        updated_at,synced_at,attempts,max_attempts,next_retry_at,error_message,generation,claim_token,claimed_by,claimed_until,
        requested_by,requested_at
    }'::text[] || array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = tg_relid
          and a.attgenerated <> ''
    );
begin
    if jsonb_typeof(new.metadata) = 'object' and to_jsonb(new) - workers <> to_jsonb(old) - workers then
        new.metadata := new.metadata - 'requested_at';
    end if;
    return new;
end
$$;

create or replace trigger _040_touch_update
before update on public.organizations
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.status = 'syncing'
    and old.status = 'syncing'
    and new.metadata is not distinct from old.metadata
)
execute function rowcall.touch_organization();

create or replace trigger _050_complete_insert
before insert on public.organizations
for each row
when (new.status = 'syncing' and new.claim_token is null)
execute function rowcall.complete_request('syncing', 'sync');

create or replace trigger _050_complete_update
before update on public.organizations
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.status = 'syncing'
    and (new.status is distinct from old.status or new.metadata is distinct from old.metadata)
)
execute function rowcall.complete_request('syncing', 'sync');

create or replace trigger _100_stamp_insert
before insert on public.organizations
for each row
when (new.status = 'syncing' and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due status counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update on public.organizations
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status = 'syncing' or old.status = 'syncing')
    and (new.status is distinct from old.status or new.metadata is distinct from old.metadata)
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.organizations
for each row
when (new.status = 'syncing')
execute function rowcall.ring('organizations');

create or replace trigger _900_ring_update
after update on public.organizations
for each row
when (
    new.status = 'syncing'
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('organizations');
