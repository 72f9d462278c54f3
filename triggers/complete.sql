-- Completes a request as document 1 writes it, where the person left something out: the action that the status asks for, how and
-- when it was asked, and the status to go back to. What the person wrote in this very statement stays as written; but how the row
-- stood before the first of several requests, only the trigger knows: a page that is clicked twice would say `updating`.
--
-- The arguments of a trigger are its table's due statuses, each followed by its action.
create or replace function rowcall.complete_request() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    -- Counts from 0.
    place constant integer := array_position(tg_argv, new.status::text);
    wishes constant text[] := '{
        new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,new_description,new_code,new_status,new_metadata
    }';
    asked jsonb := coalesce(new.metadata, '{}');
    before jsonb := '{}';
begin
    if place is null or place % 2 = 1 or jsonb_typeof(asked) <> 'object' then
        return new;
    end if;
    if tg_op = 'UPDATE' then
        before := case jsonb_typeof(old.metadata) when 'object' then old.metadata else '{}' end;
        if old.status is distinct from new.status and asked -> 'action' is not distinct from before -> 'action' then
            asked := asked - 'action';
        end if;
        if asked -> 'requested_at' is not distinct from before -> 'requested_at' then
            asked := asked - 'requested_at';
        end if;
        if asked -> 'request_method' is not distinct from before -> 'request_method' then
            asked := asked - 'request_method';
        end if;
    end if;

    if tg_op = 'INSERT' then
        asked := asked - 'reached_status';
    elsif array_position(tg_argv, old.status::text) % 2 = 0 or (old.status = 'unknown' and before ? 'previous_status') then
        -- An earlier request has not ended, or nobody knows how: that is no status to go back to.
        asked := asked - '{previous_status,reached_status}'::text[] || (
            select coalesce(jsonb_object_agg(k.key, before -> k.key), '{}')
            from unnest('{previous_status,reached_status}'::text[]) as k (key)
            where before ? k.key
        );
        -- What was never created was never active.
        if old.status = 'creating' and new.status <> 'creating' and asked ->> 'previous_status' is null then
            asked := asked || '{"previous_status": "failed"}';
        end if;
    else
        asked := asked - '{reached_status,failed_request}'::text[];
        if asked ->> 'previous_status' is null
            or asked -> 'previous_status' is not distinct from before -> 'previous_status'
            or asked ->> 'previous_status' = 'unknown'
            or array_position(tg_argv, asked ->> 'previous_status') % 2 = 0
        then
            asked := asked || jsonb_build_object('previous_status', old.status);
        end if;
        -- A request that failed still stands there. Set again as it was, or corrected, it is asked for again; where something
        -- else is added to it, it is not asked for too. Who writes the metadata anew means all of it.
        if before -> 'action_failed' = 'true' and asked -> 'failed_at' is not distinct from before -> 'failed_at' and exists (
            select from unnest(wishes) as w (key) where asked ? w.key and not before ? w.key
        ) then
            asked := asked - array(select w.key from unnest(wishes) as w (key) where asked -> w.key = before -> w.key);
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

-- A request that is taken back, by whatever way, is not left to be asked for by the next one.
create or replace function rowcall.set_aside_request() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if jsonb_typeof(new.metadata) = 'object' then
        new.metadata := rowcall.set_aside(new.metadata - 'reached_status', 'cancelled_request');
    end if;
    return new;
end
$$;
