-- The triggers of public.codes, in firing order.

-- Completes a request as document 1 writes it, where the person left something out: the action that the status asks for,
-- when it was asked, and the status to go back to. What the person wrote in this very statement stays as written.
create or replace function rowcall.complete_code_request() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    due constant text[] := '{creating,updating,deleting,renaming}';
    verb constant text := case new.status
        when 'creating' then 'create'
        when 'updating' then 'update'
        when 'deleting' then 'delete'
        when 'renaming' then 'rename'
    end;
    asked jsonb := coalesce(new.metadata, '{}');
    before jsonb := '{}';
begin
    if verb is null or jsonb_typeof(asked) <> 'object' then
        return new;
    end if;
    if tg_op = 'UPDATE' then
        before := coalesce(old.metadata, '{}');
        if old.status is distinct from new.status and asked -> 'action' is not distinct from before -> 'action' then
            asked := asked - 'action';
        end if;
        if asked -> 'requested_at' is not distinct from before -> 'requested_at' then
            asked := asked - 'requested_at';
        end if;
        if old.status <> all (due)
            and (asked -> 'previous_status' is null
                or asked -> 'previous_status' is not distinct from before -> 'previous_status')
        then
            asked := asked || jsonb_build_object('previous_status', old.status);
        end if;
    end if;
    new.metadata := jsonb_build_object(
        'action', verb,
        'requested_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    ) || asked;
    return new;
end
$$;

create or replace trigger _050_complete_insert
before insert on public.codes
for each row
when (new.status in ('creating', 'updating', 'deleting', 'renaming') and new.claim_token is null)
execute function rowcall.complete_code_request();

create or replace trigger _050_complete_update
before update of status, metadata, code on public.codes
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.status in ('creating', 'updating', 'deleting', 'renaming')
    and (
        new.status is distinct from old.status
        or new.metadata is distinct from old.metadata
        or new.code::text is distinct from old.code::text
    )
)
execute function rowcall.complete_code_request();

create or replace trigger _100_stamp_insert
before insert on public.codes
for each row
when (new.status in ('creating', 'updating', 'deleting', 'renaming') and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving a due status counts too: it takes the request back, and what runs must not overwrite that. So does another code:
-- what runs was asked for the old one.
create or replace trigger _100_stamp_update
before update of status, metadata, code on public.codes
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (
        new.status in ('creating', 'updating', 'deleting', 'renaming')
        or old.status in ('creating', 'updating', 'deleting', 'renaming')
    )
    and (
        new.status is distinct from old.status
        or new.metadata is distinct from old.metadata
        or new.code::text is distinct from old.code::text
    )
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.codes
for each row
when (new.status in ('creating', 'updating', 'deleting', 'renaming'))
execute function rowcall.ring('codes');

create or replace trigger _900_ring_update
after update of status, metadata, code on public.codes
for each row
when (
    new.status in ('creating', 'updating', 'deleting', 'renaming')
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('codes');
