-- The triggers of public.codes, in firing order.

create or replace trigger _050_complete_insert
before insert on public.codes
for each row
when (new.status in ('creating', 'updating', 'deleting', 'renaming') and new.claim_token is null)
execute function rowcall.complete_request('creating', 'create', 'updating', 'update', 'deleting', 'delete', 'renaming', 'rename');

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
execute function rowcall.complete_request('creating', 'create', 'updating', 'update', 'deleting', 'delete', 'renaming', 'rename');

create or replace trigger _050_set_aside_update
before update of status on public.codes
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and old.status in ('creating', 'updating', 'deleting', 'renaming')
    and new.status not in ('creating', 'updating', 'deleting', 'renaming')
)
execute function rowcall.set_aside_request();

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

-- What these triggers called before rowcall.complete_request.
drop function if exists rowcall.complete_code_request();
