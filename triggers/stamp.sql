-- The stamp: marks a person's edit of the request columns as a new request.
--
-- Fires before the row is written. It touches nothing but the row itself, so it can neither block nor fail the user's
-- transaction. The worker's own statements change claim_token and are told apart by that, in each trigger's WHEN.
create or replace function rowcall.stamp() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    claims text := current_setting('request.jwt.claims', true);
    asker text := nullif(current_setting('rowcall.asker', true), '');
begin
    new.generation := coalesce(new.generation, 0) + 1;
    new.attempts := 0;
    -- A time that the person gave in this very statement counts: ask now, do it then.
    if tg_op = 'INSERT' then
        new.next_retry_at := greatest(new.next_retry_at, now());
    elsif new.next_retry_at is not distinct from old.next_retry_at then
        new.next_retry_at := now();
    end if;
    new.error_message := null;
    new.requested_at := now();
    new.requested_by := coalesce(asker, current_user);
    if asker is null and claims <> '' then
        -- Set by PostgREST, or by anybody: text that is no JSON must not fail the user's statement.
        begin
            new.requested_by := coalesce(claims::jsonb ->> 'sub', current_user);
        exception when others then
            null;
        end;
    end if;
    return new;
end
$$;
