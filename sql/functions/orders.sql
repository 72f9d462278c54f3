-- What the queue of orders needs beside its two statements: what a change of status means, and the operator's verbs. They name
-- everything in full, and search public all the same: the users' own triggers on the table run under their path.

-- What an order goes back to when a change is not done, or is of its metadata only: what an earlier change, superseded since, has
-- reached at Fienta; else what it was before.
create or replace function rowcall.order_before(metadata jsonb) returns text
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when metadata ->> 'reached_status' is not null then metadata ->> 'reached_status'
        when metadata ->> 'previous_status' in ('updating', 'unknown') then 'pending'
        else coalesce(metadata ->> 'previous_status', 'pending')
    end
$$;

-- The metadata of an order whose change is done: without the request, with what it asked to be set.
create or replace function rowcall.updated_order(metadata jsonb) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select o.metadata - '{action_failed,action_error,failed_at,new_status,new_metadata,reached_status}'::text[]
        || case jsonb_typeof(o.metadata -> 'new_metadata') when 'object' then o.metadata -> 'new_metadata' else '{}' end
        || case
            when o.metadata ->> 'new_status' is not null then jsonb_build_object(
                'updated_in_fienta_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            )
            else '{}'
        end
    from (select case jsonb_typeof(updated_order.metadata) when 'object' then updated_order.metadata else '{}' end as metadata) as o
$$;

-- The metadata of an order whose change failed. What it asked for is kept where only a retry finds it: a later request that adds
-- to the metadata must not move money that nobody asks to be moved.
create or replace function rowcall.failed_order(metadata jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select rowcall.set_aside(metadata - 'reached_status', 'failed_request')
$$;

-- What is asked of an order, with what was asked before and is not done yet; where both say something, the newer counts.
create or replace function rowcall.with_unfinished(status text, metadata jsonb, asked jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when status = 'updating' and jsonb_typeof(metadata) = 'object'
            then jsonb_strip_nulls(jsonb_build_object('new_status', metadata -> 'new_status')) || asked
                || case jsonb_typeof(metadata -> 'new_metadata')
                    when 'object' then jsonb_build_object(
                        'new_metadata', metadata -> 'new_metadata' || coalesce(asked -> 'new_metadata', '{}')
                    )
                    else '{}'
                end
        else asked
    end
$$;

-- The row with that key, locked.
create or replace function rowcall.known_order(wanted_key text) returns public.orders
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.orders;
begin
    select o.*
    into found
    from public.orders as o
    where o.id = rowcall.order_key(wanted_key)
    for no key update;

    if found.id is null then
        raise exception 'orders has no row with the key %', wanted_key
            using errcode = 'no_data_found', hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return found;
end
$$;

-- Asks for a stopped order's last change again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_orders(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.orders := rowcall.known_order(wanted_key);
    label constant text := format('order %s', found.id);
begin
    if found.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    end if;

    if found.status = 'updating' then
        update public.orders as o
        set attempts = 0,
            next_retry_at = now()
        where o.id = found.id;
        perform pg_notify('rowcall', 'orders');
        return format('%s is tried now', label);
    end if;

    if found.generation = 0 or (found.error_message is null and found.metadata -> 'action_failed' is distinct from 'true') then
        raise exception '% is %: there is nothing to try again', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value',
                hint = 'ask for something new by setting its status to updating, with metadata.new_status';
    end if;

    -- A parked row keeps the mark that its effect is not known, under a token that nobody holds, and is verified first.
    update public.orders as o
    set status = 'updating',
        metadata = case jsonb_typeof(o.metadata) when 'object' then o.metadata else '{}' end
            - '{action_failed,action_error,failed_at,failed_request}'::text[]
            || case jsonb_typeof(o.metadata -> 'failed_request') when 'object' then o.metadata -> 'failed_request' else '{}' end
            || jsonb_build_object(
                'previous_status', case found.status when 'unknown' then rowcall.order_before(o.metadata) else found.status end
            ),
        -- Where the token stays as it is, the stamp trigger counts.
        generation = o.generation + (found.claim_token is not null)::integer,
        attempts = 0,
        next_retry_at = now(),
        error_message = null,
        claim_token = case when found.claim_token is not null then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        requested_by = rowcall.requester(),
        requested_at = now(),
        updated_at = now()
    where o.id = found.id;
    perform pg_notify('rowcall', 'orders');
    return format('%s is asked for again', label);
end
$$;

-- Takes a request back that is not done. Returns what it did, in words.
create or replace function rowcall.cancel_orders(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.orders := rowcall.known_order(wanted_key);
    label constant text := format('order %s', found.id);
    back constant text := rowcall.order_before(found.metadata);
begin
    if found.status is distinct from 'updating' then
        raise exception '% is %: there is nothing to cancel', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value';
    end if;

    -- The stamp trigger sees a changed status and counts a new generation: what still runs is superseded.
    update public.orders as o
    set status = back,
        metadata = case jsonb_typeof(o.metadata) when 'object' then o.metadata else '{}' end
            || jsonb_build_object(
                'cancelled_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'cancelled_by', rowcall.requester()
            ),
        updated_at = now()
    where o.id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'orders', wanted_key, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    return format(
        '%s is %s again%s', label, back,
        case when found.claimed_until > now() then '; an operation is running and may still take effect, history will tell' end
    );
end
$$;

-- Settles an order of which nobody can tell whether its change took effect, as a person found out. Returns what it did, in words.
create or replace function rowcall.resolve_orders(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.orders := rowcall.known_order(wanted_key);
    label constant text := format('order %s', found.id);
begin
    if found.status is distinct from 'unknown' then
        raise exception '% is %, not unknown: there is nothing to resolve', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value';
    end if;

    update public.orders as o
    set status = coalesce(case verdict when 'done' then o.metadata ->> 'new_status' end, rowcall.order_before(o.metadata)),
        metadata = case
                when verdict = 'done' then rowcall.updated_order(o.metadata)
                when jsonb_typeof(o.metadata) = 'object' then rowcall.failed_order(o.metadata)
                else '{}'
            end
            || jsonb_build_object(
                'resolved_by', rowcall.requester(),
                'resolved_note', note,
                'resolved_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            ),
        error_message = case when verdict = 'failed' then note end,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    where o.id = found.id
    returning o.*
    into found;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'orders', wanted_key, found.generation, greatest(found.attempts, 1), verdict,
        format('resolved by %s: %s', rowcall.requester(), note),
        jsonb_build_object('resolved_by', rowcall.requester(), 'note', note), found.requested_by
    );
    return format('%s is %s', label, found.status);
end
$$;
