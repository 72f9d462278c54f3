-- What the queue of codes needs beside its two statements: the row that a rename leaves behind, and the operator's verbs.
-- They name everything in full, and search public all the same: the users' own triggers on the table run under their path.

-- Puts the row of a renamed code: a copy of the old row, active, under the new code. Called by settle.sql for a rename
-- that is done. A row of that code that was deleted or never came to be is put to use again; one that lives is left alone.
-- Its owner goes along. The list of columns is read from the catalog, so a table that its users widened is copied whole. Whoever
-- holds that row locked must not hold up a batch of outcomes: the statement fails soon, and is tried again without the others.
create or replace function rowcall.put_renamed_code(old_key rowcall.codes_key, new_code text, metadata jsonb) returns text
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '200ms'
as $$
declare
    kept text;
    owner_column constant name := (select b.owner_column from rowcall.browser_tables as b where b.table_name = 'codes');
    attributes jsonb := metadata
        - '{action,requested_at,request_method,previous_status,new_code,renamed_to,deleted_in_fienta_at}'::text[]
        || jsonb_build_object(
            'renamed_from', (select c.code from public.codes as c where c.id = old_key),
            'created_in_fienta_at', metadata -> 'deleted_in_fienta_at'
        );
begin
    if exists (select from public.codes as c where c.code = new_code) then
        update public.codes as c
        set status = 'active',
            metadata = attributes,
            error_message = null,
            updated_at = now()
        where c.code = new_code
          and c.status in ('deleted', 'failed');
        if found and owner_column is not null then
            execute format(
                'update public.codes as c set %1$I = o.%1$I from public.codes as o where o.id = $1 and c.code = $2', owner_column
            ) using old_key, new_code;
        end if;
        return new_code;
    end if;

    select string_agg(format('%I', a.attname), ', ')
    into kept
    from pg_attribute as a
    where a.attrelid = 'public.codes'::regclass
      and a.attnum > 0
      and not a.attisdropped
      and a.attgenerated = ''
      and a.attidentity = ''
      and a.attname <> all ('{
          id,code,status,metadata,created_at,updated_at,attempts,max_attempts,next_retry_at,error_message,generation,
          claim_token,claimed_by,claimed_until
      }'::name[]);

    execute format(
        'insert into public.codes (code, status, metadata, %1$s) select $1, ''active'', $2, %1$s from public.codes where id = $3',
        kept
    ) using new_code, attributes, old_key;
    return new_code;
end
$$;

-- Which of a code's two discounts the other one replaces.
create or replace function rowcall.replaced_discount(percent jsonb, amount jsonb) returns text[]
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when amount <> 'null' then '{discount_percent}'
        when percent <> 'null' then '{discount_amount}'
        else '{}'
    end::text[]
$$;

-- What stays on a code's row of an operation that was done while the row came to ask for something else: what the code is in
-- Fienta now, and the status to go back to should the newest request fail.
create or replace function rowcall.superseded_code(in_effect jsonb) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select case in_effect ->> 'action'
        when 'create' then jsonb_build_object('created_in_fienta_at', t.stamp, 'previous_status', 'active')
        when 'update' then jsonb_build_object('updated_in_fienta_at', t.stamp) || (
            select coalesce(
                jsonb_object_agg(
                    e.key,
                    case
                        when e.key in ('discount_percent', 'discount_amount', 'max_uses') then to_jsonb(e.value::numeric)
                        else to_jsonb(e.value)
                    end
                ),
                '{}'
            )
            from jsonb_each_text(in_effect -> 'terms') as e
        )
        when 'rename' then jsonb_build_object(
            'renamed_to', in_effect -> 'new_code', 'deleted_in_fienta_at', t.stamp, 'previous_status', 'deleted'
        )
        when 'delete' then jsonb_build_object('deleted_in_fienta_at', t.stamp, 'previous_status', 'deleted')
        else '{}'
    end
    from (select to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) as t (stamp)
$$;

-- The row with that key, locked; or, when there is none, an error that says which key a code of that name has.
create or replace function rowcall.known_code(wanted_key text) returns public.codes
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.codes;
begin
    select c.*
    into found
    from public.codes as c
    where c.id::text = wanted_key
    for no key update;

    if found.id is null then
        raise exception 'codes has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = coalesce(
                    (select format('the code %s has the key %s', c.code, c.id) from public.codes as c where c.code = wanted_key limit 1),
                    'the key is the row''s id; rowcall status shows it'
                );
    end if;
    return found;
end
$$;

-- Asks for a stopped code's last request again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_codes(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.codes := rowcall.known_code(wanted_key);
    again text;
begin
    if found.claimed_until > now() then
        return format('%s is running; nothing to do', found.code);
    end if;

    if found.status in ('creating', 'updating', 'deleting', 'renaming') then
        update public.codes as c
        set attempts = 0,
            next_retry_at = now()
        where c.id = found.id;
        perform pg_notify('rowcall', 'codes');
        return format('%s is tried now', found.code);
    end if;

    again := case found.metadata ->> 'action'
        when 'create' then 'creating'
        when 'update' then 'updating'
        when 'delete' then 'deleting'
        when 'rename' then 'renaming'
    end;
    if again is null or (found.error_message is null and found.metadata -> 'action_failed' is distinct from 'true') then
        raise exception 'the code % is %: there is nothing to try again', found.code, found.status
            using errcode = 'invalid_parameter_value',
                hint = 'ask for something new by setting its status to creating, updating, deleting or renaming';
    end if;

    -- A parked row keeps the mark that its effect is not known, under a token that nobody holds, and is verified first.
    update public.codes as c
    set status = again,
        metadata = c.metadata - '{action_failed,action_error,failed_at}'::text[],
        -- Where the token stays as it is, the stamp trigger counts.
        generation = c.generation + (found.status = 'unknown' or found.claim_token is not null)::integer,
        attempts = 0,
        next_retry_at = now(),
        error_message = null,
        claim_token = case when found.status = 'unknown' or found.claim_token is not null then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        requested_by = rowcall.requester(),
        requested_at = now()
    where c.id = found.id;
    perform pg_notify('rowcall', 'codes');
    return format('%s is asked for again', found.code);
end
$$;

-- Takes a request back that is not done. Returns what it did, in words.
create or replace function rowcall.cancel_codes(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.codes := rowcall.known_code(wanted_key);
    back text;
begin
    if found.status not in ('creating', 'updating', 'deleting', 'renaming') then
        raise exception 'the code % is %: there is nothing to cancel', found.code, found.status
            using errcode = 'invalid_parameter_value';
    end if;

    back := found.metadata ->> 'previous_status';
    if found.status = 'creating' then
        back := 'failed';
    elsif back is null or back in ('creating', 'updating', 'deleting', 'renaming') then
        back := 'active';
    end if;

    -- The stamp trigger sees a changed status and counts a new generation: what still runs is superseded.
    update public.codes as c
    set status = back,
        metadata = case jsonb_typeof(c.metadata) when 'object' then c.metadata else '{}' end
            || jsonb_build_object(
                'cancelled_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'cancelled_by', rowcall.requester()
            ),
        updated_at = now()
    where c.id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'codes', wanted_key, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );

    if found.claimed_until > now() then
        return format('%s is %s again; an operation is running and may still take effect, history will tell', found.code, back);
    end if;
    return format('%s is %s again', found.code, back);
end
$$;

-- Settles a code of which nobody can tell whether its request took effect, as a person found out. Leaves the row as a settled
-- outcome would. Returns what it did, in words.
create or replace function rowcall.resolve_codes(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found public.codes;
    asked text;
    stamp constant text := to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
    decided jsonb := jsonb_build_object('resolved_by', rowcall.requester(), 'resolved_note', note, 'resolved_at', stamp);
begin
    select c.*
    into found
    from public.codes as c
    where c.id::text = wanted_key
    for no key update;

    if found.id is null then
        raise exception 'codes has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = coalesce(
                    (select format('the code %s has the key %s', c.code, c.id) from public.codes as c where c.code = wanted_key),
                    'the key is the row''s id; rowcall status shows it'
                );
    end if;
    if found.status is distinct from 'unknown' then
        raise exception 'the code % is %, not unknown: there is nothing to resolve', found.code, found.status
            using errcode = 'invalid_parameter_value';
    end if;
    asked := found.metadata ->> 'action';
    if verdict = 'done' and (asked is null or asked not in ('create', 'update', 'delete', 'rename')) then
        raise exception 'the code % does not say what was asked for', found.code
            using errcode = 'invalid_parameter_value',
                hint = 'set its status to what is true';
    end if;

    decided := case jsonb_typeof(found.metadata) when 'object' then found.metadata else '{}' end || decided;
    if verdict = 'done' then
        decided := decided - '{action_failed,action_error,failed_at}'::text[] || case asked
            when 'create' then jsonb_build_object('created_in_fienta_at', stamp)
            when 'update' then jsonb_strip_nulls(jsonb_build_object(
                'discount_percent', decided -> 'new_discount_percent',
                'discount_amount', decided -> 'new_discount_amount',
                'max_uses', decided -> 'new_max_uses',
                'expires_at', decided -> 'new_expires_at',
                'description', decided -> 'new_description',
                'updated_in_fienta_at', stamp
            ))
            when 'rename' then jsonb_build_object('renamed_to', decided -> 'new_code', 'deleted_in_fienta_at', stamp)
            else jsonb_build_object('deleted_in_fienta_at', stamp)
        end;
        if asked = 'update' then
            decided := decided
                - rowcall.replaced_discount(decided -> 'new_discount_percent', decided -> 'new_discount_amount')
                - '{new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,new_description}'::text[];
        end if;
    end if;

    update public.codes as c
    set status = case
            when verdict = 'done' then case when asked in ('create', 'update') then 'active' else 'deleted' end
            when asked = 'create' then 'failed'
            when decided ->> 'previous_status' in ('creating', 'updating', 'deleting', 'renaming', 'unknown') then 'active'
            else coalesce(decided ->> 'previous_status', 'active')
        end,
        metadata = decided,
        error_message = case when verdict = 'failed' then note end,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    where c.id = found.id
    returning c.*
    into found;
    if verdict = 'done' and asked = 'rename' then
        perform rowcall.put_renamed_code(found.id, decided ->> 'new_code', decided);
    end if;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'codes', wanted_key, found.generation, greatest(found.attempts, 1), verdict,
        format('resolved by %s: %s', rowcall.requester(), note),
        jsonb_build_object('resolved_by', rowcall.requester(), 'note', note), found.requested_by
    );
    return format('%s is %s', found.code, found.status);
end
$$;
