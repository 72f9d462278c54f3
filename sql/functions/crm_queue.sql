-- The operator's verbs for the two CRM queues.

-- The row that an operator names, locked; an error in words when there is none.
create or replace function rowcall.named_crm_sync(wanted_key text) returns public.crm_sync_queue
language plpgsql
set search_path = pg_catalog
as $$
declare
    found public.crm_sync_queue;
begin
    begin
        select q.*
        into found
        from public.crm_sync_queue as q
        where q.id = wanted_key::rowcall.crm_sync_queue_key
        for no key update;
    exception when invalid_text_representation or numeric_value_out_of_range then
        null;
    end;
    if found.id is null then
        raise exception 'crm_sync_queue has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return found;
end
$$;

-- Asks for a failed row's change again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_crm_sync_queue(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.crm_sync_queue := rowcall.named_crm_sync(wanted_key);
    label constant text := format('%s #%s', found.action_type, found.id);
    resting constant text := (
        select format('; but %s is probed first: %s', a.target, a.reason)
        from rowcall.crm_accounts as a
        where a.client_id = found.client_id
          and a.is_open
    );
begin
    if found.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    end if;

    if found.status in ('pending', 'processing') then
        update public.crm_sync_queue as q
        set attempts = 0,
            next_retry_at = now()
        where q.id = found.id;
        perform pg_notify('rowcall', 'crm_sync_queue');
        return concat(label, ' is tried now', resting);
    end if;

    if found.status <> 'failed' then
        raise exception '% is %: there is nothing to try again', label, found.status
            using errcode = 'invalid_parameter_value',
                hint = 'insert a row to ask for something new';
    end if;

    -- A row whose effect nobody knows keeps the mark, under a token that nobody holds, and is verified first. What of an
    -- upgrade is done stays done.
    update public.crm_sync_queue as q
    set status = 'pending',
        -- Where the token stays as it is, the stamp trigger counts.
        generation = q.generation + (found.claim_token is not null)::integer,
        attempts = 0,
        next_retry_at = now(),
        error_message = null,
        claim_token = case when found.claim_token is not null then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        requested_by = rowcall.requester(),
        requested_at = now(),
        updated_at = now()
    where q.id = found.id;
    perform pg_notify('rowcall', 'crm_sync_queue');
    return concat(label, ' is asked for again', resting);
end
$$;

-- Takes a change back that is not made. The documented statuses know no other end than failed. In words.
create or replace function rowcall.cancel_crm_sync_queue(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.crm_sync_queue := rowcall.named_crm_sync(wanted_key);
    label constant text := format('%s #%s', found.action_type, found.id);
    why constant text := 'cancelled by ' || rowcall.requester();
begin
    if found.status not in ('pending', 'processing') then
        raise exception '% is %: there is nothing to cancel', label, found.status
            using errcode = 'invalid_parameter_value';
    end if;

    -- The stamp trigger sees a changed status and counts a new generation: what still runs is superseded.
    update public.crm_sync_queue as q
    set status = 'failed',
        updated_at = now()
    where q.id = found.id;
    update public.crm_sync_queue as q
    set error_message = why
    where q.id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'crm_sync_queue', found.id::text, found.generation, found.attempts + 1, 'cancelled', why, found.requested_by
    );
    perform pg_notify('rowcall', 'crm_sync_queue');
    return format(
        '%s is taken back%s', label,
        case when found.claimed_until > now() then '; it is running and may still take effect, history will tell' end
    );
end
$$;

-- Settles a failed row as a person found out: done (it took effect, or was done by hand) or failed. In words.
create or replace function rowcall.resolve_crm_sync_queue(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.crm_sync_queue := rowcall.named_crm_sync(wanted_key);
    label constant text := format('%s #%s', found.action_type, found.id);
begin
    if found.status <> 'failed' then
        raise exception '% is %, not failed: there is nothing to resolve', label, found.status
            using errcode = 'invalid_parameter_value';
    end if;
    update public.crm_sync_queue as q
    set status = case verdict when 'done' then 'completed' else 'failed' end,
        completed_at = case verdict when 'done' then now() end,
        error_message = case verdict when 'failed' then note end,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    where q.id = found.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'crm_sync_queue', found.id::text, found.generation, greatest(found.attempts, 1), verdict,
        format('resolved by %s: %s', rowcall.requester(), note),
        jsonb_build_object('resolved_by', rowcall.requester(), 'note', note), found.requested_by
    );
    return format('%s is %s', label, case verdict when 'done' then 'completed' else 'failed' end);
end
$$;

-- Reads an order again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_crm_orders(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.crm_orders := rowcall.named_crm_order(wanted_key);
begin
    if found.claimed_until > now() then
        return format('order %s is running; nothing to do', found.crm_order_id);
    end if;
    if (select c.crm_type from public.clients as c where c.id = found.client_id) <> 'commerce7' then
        raise exception 'order % is known as Shopify signed it: there is nothing to read again', found.crm_order_id
            using errcode = 'invalid_parameter_value';
    end if;
    update public.crm_orders as r
    set status = 'asked',
        attempts = 0,
        next_retry_at = now(),
        requested_by = rowcall.requester()
    where r.id = found.id;
    perform pg_notify('rowcall', 'crm_orders');
    return format('order %s is read now', found.crm_order_id);
end
$$;

-- Takes back the wish to read an order; what is known of it stays. In words.
create or replace function rowcall.cancel_crm_orders(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.crm_orders := rowcall.named_crm_order(wanted_key);
begin
    if found.status not in ('asked', 'fetching') then
        raise exception 'order % is not asked for: there is nothing to cancel', found.crm_order_id
            using errcode = 'invalid_parameter_value';
    end if;
    -- The stamp trigger sees a changed status and counts a new generation: what still runs is superseded.
    update public.crm_orders as r
    set status = 'known'
    where r.id = found.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'crm_orders', found.id::text, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    return format('order %s is not read', found.crm_order_id);
end
$$;

-- Reading leaves no doubt, so there is never anything to resolve.
create or replace function rowcall.resolve_crm_orders(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
begin
    raise exception 'an order is only read: there is nothing to resolve'
        using errcode = 'invalid_parameter_value',
            hint = format('select rowcall.retry(''crm_orders'', %L)', wanted_key);
end
$$;

create or replace function rowcall.named_crm_order(wanted_key text) returns public.crm_orders
language plpgsql
set search_path = pg_catalog
as $$
declare
    found public.crm_orders;
begin
    if wanted_key ~ '^[0-9]{1,18}$' then
        select r.*
        into found
        from public.crm_orders as r
        where r.id::text = wanted_key
        for no key update;
    end if;
    if found.id is null then
        raise exception 'crm_orders has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return found;
end
$$;
