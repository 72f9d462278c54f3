-- Completes a request as document 1 writes it, where the person left something out: the action that the status asks for, how and
-- when it was asked, and the status to go back to. What the person wrote in this very statement stays as written.
--
-- The arguments of a trigger are its table's due statuses, each followed by its action.
create or replace function rowcall.complete_request() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    -- Counts from 0.
    place constant integer := array_position(tg_argv, new.status::text);
    asked jsonb := coalesce(new.metadata, '{}');
    before jsonb := '{}';
begin
    if place is null or place % 2 = 1 or jsonb_typeof(asked) <> 'object' then
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
        if asked -> 'request_method' is not distinct from before -> 'request_method' then
            asked := asked - 'request_method';
        end if;
        -- What was not known to end is no status to go back to.
        if old.status is not null
            and (old.status <> 'unknown' or not before ? 'previous_status')
            and coalesce(array_position(tg_argv, old.status::text) % 2, 1) = 1
            and (asked -> 'previous_status' is null
                or asked -> 'previous_status' is not distinct from before -> 'previous_status')
        then
            asked := asked || jsonb_build_object('previous_status', old.status);
        end if;
    end if;
    -- As the HTTP server's caller says it, else by a browser; of whoever writes SQL, nothing is known.
    new.metadata := jsonb_strip_nulls(jsonb_build_object('request_method', coalesce(
        nullif(current_setting('rowcall.request_method', true), ''),
        case when current_setting('request.jwt.claims', true) <> '' then 'frontend' end
    ))) || jsonb_build_object(
        'action', tg_argv[place + 1],
        'requested_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    ) || asked;
    return new;
end
$$;
