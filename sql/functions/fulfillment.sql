-- What fulfilment needs beside its two statements: which orders are bought, the row that buys one, and the operator's verbs.
-- What an order's own statement calls is in plpgsql, whose plans a session keeps.

-- Who asks, in a function that runs as its owner: whom the HTTP server let in, else the subject of the JWT, else the role that was set, else who logged in.
create or replace function rowcall.asker() returns text
language plpgsql
stable
set search_path = pg_catalog
as $$
declare
    login constant text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
    return coalesce(
        nullif(current_setting('rowcall.asker', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
        login
    );
exception when others then
    return login;
end
$$;

-- Whether an order of this status counts as paid, by rowcall.fulfillment_settings; whether in capitals or not.
create or replace function rowcall.is_paid(status text) returns boolean
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return coalesce(
        (
            -- A request is no status: one that nothing came before is paid when it is done, if at all.
            select is_paid.status is distinct from 'updating'
                and not exists (select from unnest(s.unpaid_statuses) as u (word) where lower(u.word) = lower(btrim(is_paid.status)))
                and (
                    s.paid_statuses is null
                    or exists (select from unnest(s.paid_statuses) as p (word) where lower(p.word) = lower(btrim(is_paid.status)))
                )
            from rowcall.fulfillment_settings as s
        ),
        false
    );
end
$$;

-- How an order stands: while a change of its status is asked for, or nobody knows whether it took effect, as before that.
create or replace function rowcall.order_standing(status text, metadata jsonb) returns text
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return case
        when status = 'updating' or (status = 'unknown' and metadata ? 'action')
            then case when metadata ? 'previous_status' then metadata ->> 'previous_status' else 'updating' end
        else status
    end;
end
$$;

-- A bundle's size in megabytes, to compare two; null where the package is no size above nothing.
create or replace function rowcall.bundle_mb(package text) returns numeric
language sql
immutable
set search_path = pg_catalog
as $$
    select nullif(p.part[1]::numeric * case lower(p.part[2]) when 'gb' then 1000 else 1 end, 0)
    from regexp_match(btrim(bundle_mb.package), '^([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(GB|MB)$', 'i') as p (part)
$$;

-- What a supplier is given to know a purchase by: the order's key, and for another purchase of it a UUID that is derived, which no
-- other order has.
create or replace function rowcall.purchase_reference(order_key text, purchase integer) returns text
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when purchase <= 1 then order_key
        else md5(format('%s:%s', order_key, purchase))::uuid::text
    end
$$;

-- What is wrong with an order before anybody outside hears of it, in words for whoever looks at the row; else null. What a
-- supplier's profile asks of numbers and packages, the worker checks.
create or replace function rowcall.order_fault(phone_number text, package text) returns text
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return case
        when coalesce(btrim(phone_number), '') = '' then 'the order has no phone number: enter it on the order, then retry'
        when phone_number !~ '^[-+ .()0-9]*$' or char_length(regexp_replace(phone_number, '[^0-9]', '', 'g')) not between 9 and 15
            then 'the order''s phone number is not one: correct it on the order, then retry'
        when coalesce(btrim(package), '') = '' then 'the order has no package: enter one such as 1GB on the order, then retry'
        when package ~ '[[:cntrl:]]' or char_length(package) > 100
            then 'the order''s package is not one: correct it on the order, then retry'
    end;
end
$$;

-- Makes the row that buys an order's bundle, once for ever. An order that cannot be bought gets a failed one, which says why.
create or replace function rowcall.put_fulfillment(wanted public.orders) returns boolean
language plpgsql
set search_path = pg_catalog
as $$
declare
    fault constant text := rowcall.order_fault(wanted.phone_number, wanted.package);
begin
    insert into public.fulfillment_logs (
        order_id, network, phone_number, package, status, attempt_number, max_attempts, error_message, retry_after,
        requested_by, requested_at, created_at
    )
    values (
        wanted.id, wanted.network, wanted.phone_number, wanted.package,
        case when fault is null then 'pending' else 'failed' end,
        1,
        coalesce((select q.max_attempts from rowcall.queues as q where q.queue = 'fulfillment_logs'), 3),
        fault,
        case when fault is null then now() end,
        -- The stamp trigger fills in who asks, where something is asked.
        case when fault is not null then rowcall.asker() end, now(), now()
    )
    on conflict (order_id) do nothing;
    return found;
end
$$;

-- Buys what was taken back before anything was bought, and is paid again. Where somebody holds the row, that one's work goes on.
create or replace function rowcall.put_fulfillment_back(order_key rowcall.orders_key) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    update public.fulfillment_logs as l
    set status = 'pending'
    where l.id = any (array(
        select t.id
        from public.fulfillment_logs as t
        where t.order_id = order_key
          and t.status = 'failed'
          and t.retry_after is null
          and t.claim_token is null
          and t.error_message = 'the order was taken back before anything was bought'
        for no key update skip locked
    ));
end
$$;

-- How long to wait after so many failures, by the policy, with up to a tenth on top.
create or replace function rowcall.fulfillment_pause(failures integer) returns interval
language sql
volatile
set search_path = pg_catalog
as $$
    select q.retry_delays[least(greatest(failures, 1), cardinality(q.retry_delays))] * (1 + 0.1 * random())
    from rowcall.queues as q
    where q.queue = 'fulfillment_logs'
$$;

-- The row with that key, locked together with its order; an error in words when there is none.
create or replace function rowcall.named_fulfillment(wanted_key text) returns public.fulfillment_logs
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted rowcall.fulfillment_logs_key;
    found public.fulfillment_logs;
begin
    begin
        wanted := wanted_key::rowcall.fulfillment_logs_key;
    exception when data_exception then
        null;
    end;
    select l.*
    into found
    from public.fulfillment_logs as l
    join public.orders as o on o.id = l.order_id
    where l.id = wanted
    for no key update of l, o;
    if found.id is null then
        raise exception 'fulfillment_logs has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = coalesce(
                    (
                        select format('the order %s has the key %s', l.order_id, l.id)
                        from public.fulfillment_logs as l
                        where l.order_id = rowcall.order_key(wanted_key)
                    ),
                    'the key is the row''s id; rowcall status shows it'
                );
    end if;
    return found;
end
$$;

-- An order's key as its type has it; null where the text is none.
create or replace function rowcall.order_key(wanted text) returns rowcall.orders_key
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return wanted::rowcall.orders_key;
exception when data_exception then
    return null;
end
$$;

-- Asks for a purchase again, or looks at a waiting one now; says what it did, in words. What may have been bought is verified and
-- not bought again, unless a person forces it. Refuses with RC409 what would spend money for nothing.
create or replace function rowcall.ask_fulfillment_again(found public.fulfillment_logs, force boolean, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    label constant text := format('order %s', found.order_id);
    named public.orders;
    fault text;
begin
    select o.*
    into named
    from public.orders as o
    where o.id = found.order_id;
    fault := rowcall.order_fault(named.phone_number, named.package);

    if found.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    elsif found.status = 'success' then
        raise exception '% is delivered: there is nothing to try again', label
            using errcode = 'RC409', hint = 'a second bundle is a second order';
    elsif found.status in ('pending', 'processing') then
        update public.fulfillment_logs as l
        set retry_after = now()
        where l.id = found.id;
        perform pg_notify('rowcall', 'fulfillment_logs');
        return format('%s is %s now', label, case when found.accepted_at is null then 'tried' else 'looked up' end);
    elsif found.accepted_at is null
        and not (
            named.network is not distinct from 'AT-iShare'
            and rowcall.is_paid(rowcall.order_standing(named.status, named.metadata))
        )
    then
        raise exception '% is % of the network %: it is not to be bought',
            label, coalesce(named.status, 'without status'), coalesce(named.network, 'none')
            using errcode = 'RC409', hint = 'which statuses count as paid stands in rowcall.fulfillment_settings';
    elsif found.status = 'unknown' and not force then
        -- Looked up where the supplier has it, else verified by the next attempt.
        update public.fulfillment_logs as l
        set status = case when found.accepted_at is null then 'pending' else 'processing' end,
            accepted_at = case when found.accepted_at is not null then now() end,
            generation = l.generation + 1,
            claim_token = coalesce(found.claim_token, gen_random_uuid()),
            claimed_by = null,
            claimed_until = null,
            retry_after = now(),
            requested_by = rowcall.requester(),
            requested_at = now(),
            updated_at = now()
        where l.id = found.id;
        return format(
            '%s is verified first; to buy it again without: rowcall.retry_fulfillment(''%s'', true, ''how you know'')',
            label, found.order_id
        );
    elsif found.attempt_number >= found.max_attempts and not force then
        raise exception 'all % attempts for % are spent', found.max_attempts, label
            using errcode = 'RC409',
                hint = format('an admin may force another: select rowcall.retry_fulfillment(''%s'', true, ''why'')', found.order_id);
    elsif fault is not null then
        raise exception '%', fault using errcode = 'invalid_parameter_value';
    end if;

    -- The next attempt of those left, or by a person's decision a first one.
    update public.fulfillment_logs as l
    set status = 'pending',
        attempt_number = case when force then 1 else l.attempt_number + (l.generation > 0)::integer end,
        generation = l.generation + 1,
        retry_after = now(),
        held_back = false,
        error_message = null,
        provider_reference = case when not force and l.claim_token is not null then l.provider_reference end,
        accepted_at = null,
        looks = 0,
        reported = null,
        doubted_at = case when not force then l.doubted_at end,
        -- A supplier that takes each reference once would only tell of the one before.
        purchase = l.purchase + (force and l.claim_token is not null)::integer,
        asked_as = case
            when force and l.claim_token is not null then rowcall.purchase_reference(l.order_id::text, l.purchase + 1)
            else l.asked_as
        end,
        claim_token = case when not force then l.claim_token end,
        claimed_by = null,
        claimed_until = null,
        resolved_by = case when force then rowcall.requester() end,
        resolved_note = case when force then note end,
        requested_by = rowcall.requester(),
        requested_at = now(),
        updated_at = now()
    where l.id = found.id;
    if force then
        insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
        values (
            'fulfillment_logs', found.id::text, found.generation, greatest(found.attempt_number, 1), 'superseded',
            format('bought again by %s: %s', rowcall.requester(), note),
            jsonb_build_object('forced_by', rowcall.requester(), 'note', note), found.requested_by
        );
        return format(
            '%s is bought again%s', label,
            case when found.status = 'unknown' then '; if the first one did take effect, the customer gets it twice' end
        );
    end if;
    return format('%s is tried now', label);
end
$$;

-- Tries a stopped purchase again, or a waiting one now, as rowcall.retry_fulfillment does without force.
create or replace function rowcall.retry_fulfillment_logs(wanted_key text) returns text
language sql
set search_path = pg_catalog
as $$
    select rowcall.ask_fulfillment_again(rowcall.named_fulfillment(wanted_key), false, null)
$$;

-- Takes back what is not bought. Returns what it did, in words.
create or replace function rowcall.cancel_fulfillment_logs(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.fulfillment_logs := rowcall.named_fulfillment(wanted_key);
    label constant text := format('order %s', found.order_id);
begin
    if found.status in ('success', 'unknown') or (found.status = 'failed' and found.retry_after is null) then
        raise exception 'the fulfilment of % is %: there is nothing to cancel', label, found.status
            using errcode = 'invalid_parameter_value';
    elsif found.claim_token is not null then
        raise exception '% may have been bought already: it cannot be taken back here', label
            using errcode = 'RC409',
                hint = 'ask the supplier; rowcall follows what it says';
    end if;

    update public.fulfillment_logs as l
    set status = 'failed',
        retry_after = null,
        generation = l.generation + 1,
        held_back = false,
        error_message = 'cancelled by ' || rowcall.requester(),
        updated_at = now()
    where l.id = found.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'fulfillment_logs', found.id::text, found.generation, greatest(found.attempt_number, 1), 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    perform pg_notify('rowcall', 'fulfillment_logs');
    return format('%s is not bought', label);
end
$$;

-- Settles a purchase of which nobody can tell whether it took effect, as a person found out. Returns what it did, in words.
create or replace function rowcall.resolve_fulfillment_logs(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.fulfillment_logs := rowcall.named_fulfillment(wanted_key);
    is_done constant boolean := verdict = 'done';
begin
    if found.status <> 'unknown' then
        raise exception 'the fulfilment of order % is %, not unknown: there is nothing to resolve', found.order_id, found.status
            using errcode = 'invalid_parameter_value';
    end if;
    update public.fulfillment_logs as l
    set status = case when is_done then 'success' else 'failed' end,
        fulfilled_at = case when is_done then now() end,
        error_message = case when not is_done then note end,
        provider_reference = case when is_done then l.provider_reference end,
        accepted_at = case when is_done then l.accepted_at end,
        looks = case when is_done then l.looks else 0 end,
        purchase = l.purchase + (not is_done)::integer,
        asked_as = case when is_done then l.asked_as else rowcall.purchase_reference(l.order_id::text, l.purchase + 1) end,
        doubted_at = null,
        resolved_by = rowcall.requester(),
        resolved_note = note,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    where l.id = found.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'fulfillment_logs', found.id::text, found.generation, greatest(found.attempt_number, 1), verdict,
        format('resolved by %s: %s', rowcall.requester(), note),
        jsonb_build_object('resolved_by', rowcall.requester(), 'note', note), found.requested_by
    );
    return format('order %s is %s', found.order_id, case when is_done then 'delivered' else 'failed; it may be tried again' end);
end
$$;
