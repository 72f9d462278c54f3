-- Document 1 over HTTP: one function for each endpoint. Each checks what is given, names every field that is wrong, changes the
-- row as a frontend would, and answers how the row stands. Whoever holds the row locked is not waited for long.

-- Refuses when anything is wrong: `faults` has a sentence for each field.
create or replace function rowcall.refuse_faults(faults jsonb) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    if faults <> '{}' then
        raise exception '%', (select string_agg(f.field || ' ' || f.fault, '; ' order by f.field) from jsonb_each_text(faults) as f (field, fault))
            using errcode = '22023', detail = faults::text;
    end if;
end
$$;

-- The fields that nobody knows, and a request_method that is none.
create or replace function rowcall.field_faults(payload jsonb, known text[]) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select coalesce(jsonb_object_agg(f.field, 'is not known here; known are ' || array_to_string(known || 'request_method'::text, ', ')), '{}')
        || case
            when payload -> 'request_method' <> 'null' and payload -> 'request_method' not in ('"api"', '"frontend"', '"webhook"')
                then '{"request_method": "must be api, frontend or webhook"}'
            else '{}'
        end::jsonb
    from jsonb_object_keys(payload) as f (field)
    where f.field <> all (known || 'request_method'::text)
$$;

-- What is wrong with the name of a code.
create or replace function rowcall.code_faults(field text, given jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when given is null or given = 'null' then jsonb_build_object(field, 'is missing')
        when jsonb_typeof(given) <> 'string' or given #>> '{}' !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' then jsonb_build_object(
            field, 'must be 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or a digit'
        )
        else '{}'
    end
$$;

-- Whether a text is a day, or a moment with its offset.
create or replace function rowcall.is_moment(given text) returns boolean
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return given ~ '^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[-+]\d{2}:?\d{2}))?$' and given::timestamptz is not null;
exception when data_exception then
    return false;
end
$$;

-- What is wrong with the terms of a code; `prefix` is empty, or new_.
create or replace function rowcall.term_faults(payload jsonb, prefix text) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    with term as (
        select
            t.name,
            prefix || t.name as field,
            payload -> (prefix || t.name) as given,
            case
                when jsonb_typeof(payload -> (prefix || t.name)) in ('number', 'string')
                    and payload ->> (prefix || t.name) ~ '^[0-9]{1,9}(\.[0-9]{1,2}0*)?$'
                    then (payload ->> (prefix || t.name))::numeric
            end as number,
            t.rule
        from (values
            ('discount_percent', 'must be a number above 0 and up to 100'),
            ('discount_amount', 'must be an amount above 0 with at most two decimals'),
            ('max_uses', 'must be a whole number from 1 to 1000000'),
            ('expires_at', 'must be a date like 2026-12-31, or a time with its offset'),
            ('description', 'must be a text of at most 500 characters in one line')
        ) as t (name, rule)
        where payload -> (prefix || t.name) <> 'null'
    )

    select coalesce(jsonb_object_agg(t.field, t.rule) filter (where not coalesce(
            case t.name
                when 'discount_percent' then t.number > 0 and t.number <= 100
                when 'discount_amount' then t.number > 0
                when 'max_uses' then t.number between 1 and 1000000 and t.number = trunc(t.number)
                when 'expires_at' then jsonb_typeof(t.given) = 'string' and rowcall.is_moment(t.given #>> '{}')
                else jsonb_typeof(t.given) = 'string' and char_length(t.given #>> '{}') <= 500 and t.given #>> '{}' !~ '[[:cntrl:]]'
            end,
            false
        )), '{}')
        || case
            when bool_or(t.name = 'discount_percent') and bool_or(t.name = 'discount_amount')
                then jsonb_build_object(prefix || 'discount_amount', 'cannot stand beside ' || prefix || 'discount_percent')
            else '{}'
        end
    from term as t
$$;

-- How it is asked, where the caller says so: a webhook of another system, or a frontend's server.
create or replace function rowcall.ask_by(payload jsonb) returns void
language sql
set search_path = pg_catalog
as $$
    select set_config('rowcall.request_method', payload ->> 'request_method', true)
    where payload ->> 'request_method' is not null
$$;

-- The answer to a request: how the row stands, and what keeps it waiting. `label` is what people call the row.
create or replace function rowcall.asked(queue text, label text, image jsonb) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'success', true,
        'message', format('%s is %s', label, image ->> 'status') || coalesce('; but ' || rowcall.held_up(asked.queue), ''),
        'queue', asked.queue,
        'id', image -> 'id',
        'status', image -> 'status',
        'action', image -> 'metadata' -> 'action',
        'previous_status', image -> 'metadata' -> 'previous_status',
        'request_method', image -> 'metadata' -> 'request_method',
        'requested_at', image -> 'requested_at',
        'requested_by', image -> 'requested_by',
        'generation', image -> 'generation'
    )
$$;

-- Metadata without what an earlier request left behind, but for the status to go back to, which the trigger replaces when that is
-- over. What is given with it is asked for now.
create or replace function rowcall.ask_with(metadata jsonb, given jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select case jsonb_typeof(metadata) when 'object' then metadata else '{}' end
        - '{
            action,requested_at,request_method,action_failed,action_error,failed_at,new_discount_percent,new_discount_amount,
            new_max_uses,new_expires_at,new_description,new_code,new_status,new_metadata,renamed_to
        }'::text[]
        || jsonb_strip_nulls(given - '{code,request_method}'::text[])
$$;

-- A living code, locked. One that is gone is refused.
create or replace function rowcall.living_code(wanted text) returns public.codes
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.codes;
begin
    select c.*
    into found
    from public.codes as c
    where c.code = wanted
    order by c.status in ('deleted', 'failed'), c.id desc
    limit 1
    for no key update;
    if found.id is null then
        raise exception 'there is no code %', wanted using errcode = 'P0002', hint = 'create it first';
    elsif found.status in ('deleted', 'failed') then
        raise exception 'the code % is %', found.code, found.status using errcode = 'RC409', hint = 'create it anew';
    end if;
    return found;
end
$$;

-- POST /api/actions/codes/create: a new code; or one of that name anew that was deleted, or never came to be.
create or replace function rowcall.request_code_create(payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    wanted constant text := payload ->> 'code';
    found public.codes;
begin
    perform rowcall.refuse_faults(
        rowcall.field_faults(payload, '{code,discount_percent,discount_amount,max_uses,expires_at,description}')
        || rowcall.code_faults('code', payload -> 'code') || rowcall.term_faults(payload, '')
    );
    perform rowcall.ask_by(payload);
    -- An adopted table may let a name stand twice.
    perform pg_advisory_xact_lock(hashtextextended('rowcall code ' || wanted, 0));
    select c.*
    into found
    from public.codes as c
    where c.code = wanted
    order by c.status in ('deleted', 'failed'), c.id desc
    limit 1
    for no key update;
    if found.id is null then
        insert into public.codes (code, status, metadata)
        values (wanted, 'creating', rowcall.ask_with('{}', payload))
        returning *
        into found;
    elsif found.status in ('deleted', 'failed') then
        update public.codes as c
        set status = 'creating',
            metadata = rowcall.ask_with(
                c.metadata - '{discount_percent,discount_amount,max_uses,expires_at,description,fienta_discount_id,fienta_edit_url}'::text[],
                payload
            )
        where c.id = found.id
        returning c.*
        into found;
    else
        raise exception 'the code % is there already, and %', found.code, found.status
            using errcode = 'RC409', hint = 'update it, or choose another';
    end if;
    return rowcall.asked('codes', found.code, to_jsonb(found)) || jsonb_build_object('code', found.code);
end
$$;

-- POST /api/actions/codes/{code}/update, with new_ before each term or without.
create or replace function rowcall.request_code_update(code text, payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    terms constant text[] := '{discount_percent,discount_amount,max_uses,expires_at,description}';
    new_terms constant text[] := '{new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,new_description}';
    given constant jsonb := jsonb_strip_nulls(payload);
    asked jsonb;
    found public.codes;
begin
    asked := (
        select coalesce(jsonb_object_agg(case when g.field = any (terms) then 'new_' || g.field else g.field end, g.value), '{}')
        from jsonb_each(given) as g (field, value)
        where g.field = any (terms || new_terms)
    );
    perform rowcall.refuse_faults(
        rowcall.field_faults(payload, new_terms || terms)
        || rowcall.term_faults(given, '') || rowcall.term_faults(given, 'new_')
        || case when rowcall.term_faults(given, '') = '{}' and rowcall.term_faults(given, 'new_') = '{}'
            then rowcall.term_faults(asked, 'new_') else '{}' end
        || (
            select coalesce(jsonb_object_agg(t.term, 'stands twice, as new_' || t.term || ' too'), '{}')
            from unnest(terms) as t (term)
            where given ? t.term
              and given ? ('new_' || t.term)
        )
        || case
            when asked = '{}' and rowcall.field_faults(payload, new_terms || terms) = '{}'
                then '{"new_discount_percent": "or another of new_discount_amount, new_max_uses, new_expires_at and new_description is missing"}'
            else '{}'
        end::jsonb
    );
    perform rowcall.ask_by(payload);
    found := rowcall.living_code(request_code_update.code);
    update public.codes as c
    set status = 'updating',
        metadata = rowcall.ask_with(c.metadata, asked)
    where c.id = found.id
    returning c.*
    into found;
    return rowcall.asked('codes', found.code, to_jsonb(found)) || jsonb_build_object('code', found.code);
end
$$;

-- POST /api/actions/codes/{code}/delete. Asked twice, it is deleted once.
create or replace function rowcall.request_code_delete(code text, payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    found public.codes;
begin
    perform rowcall.refuse_faults(rowcall.field_faults(payload, '{}'));
    perform rowcall.ask_by(payload);
    found := rowcall.living_code(request_code_delete.code);
    if found.status <> 'deleting' then
        update public.codes as c
        set status = 'deleting',
            metadata = rowcall.ask_with(c.metadata, '{}')
        where c.id = found.id
        returning c.*
        into found;
    end if;
    return rowcall.asked('codes', found.code, to_jsonb(found)) || jsonb_build_object('code', found.code);
end
$$;

-- POST /api/actions/codes/{code}/rename with new_code. Asked twice for the same, it is renamed once.
create or replace function rowcall.request_code_rename(code text, payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    found public.codes;
begin
    perform rowcall.refuse_faults(
        rowcall.field_faults(payload, '{new_code}') || rowcall.code_faults('new_code', payload -> 'new_code')
        || case when payload ->> 'new_code' = request_code_rename.code then '{"new_code": "is the code''s present name"}' else '{}' end::jsonb
    );
    perform rowcall.ask_by(payload);
    found := rowcall.living_code(request_code_rename.code);
    if exists (select from public.codes as c where c.code = payload ->> 'new_code' and c.status not in ('deleted', 'failed')) then
        raise exception 'the code % is there already', payload ->> 'new_code'
            using errcode = 'RC409', detail = '{"new_code": "is taken"}', hint = 'choose another';
    end if;
    if found.status <> 'renaming' or found.metadata ->> 'new_code' is distinct from payload ->> 'new_code' then
        update public.codes as c
        set status = 'renaming',
            metadata = rowcall.ask_with(c.metadata, payload)
        where c.id = found.id
        returning c.*
        into found;
    end if;
    return rowcall.asked('codes', found.code, to_jsonb(found)) || jsonb_build_object('code', found.code);
end
$$;

-- POST /api/actions/orders/{id}/update with new_status, new_metadata, or both.
create or replace function rowcall.request_order_update(id text, payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    given constant jsonb := jsonb_strip_nulls(payload - 'new_metadata')
        || case when payload -> 'new_metadata' <> 'null' then jsonb_build_object('new_metadata', payload -> 'new_metadata') else '{}' end;
    found public.orders;
begin
    perform rowcall.refuse_faults(
        rowcall.field_faults(payload, '{new_status,new_metadata}')
        || case
            when not given ?| '{new_status,new_metadata}' then '{"new_status": "or new_metadata is missing"}'
            when given -> 'new_status' is not null
                and (jsonb_typeof(given -> 'new_status') <> 'string'
                    or given ->> 'new_status' !~ '^[A-Za-z][A-Za-z0-9_-]{0,39}$'
                    or lower(given ->> 'new_status') in ('updating', 'unknown'))
                then '{"new_status": "must be a word like completed, of letters, digits, dashes and underscores, and neither updating nor unknown"}'
            else '{}'
        end::jsonb
        || case
            when jsonb_typeof(given -> 'new_metadata') <> 'object' then '{"new_metadata": "must be an object"}'
            when given -> 'new_metadata' ?| '{
                action,requested_at,request_method,previous_status,new_status,new_metadata,action_failed,action_error,failed_at,
                updated_in_fienta_at
            }' then '{"new_metadata": "must have no key of the request itself, such as action or previous_status"}'
            else '{}'
        end::jsonb
    );
    perform rowcall.ask_by(payload);
    found := rowcall.named_order(request_order_update.id);
    update public.orders as o
    set status = 'updating',
        metadata = rowcall.ask_with(o.metadata, '{}') || given - 'request_method'
    where o.id = found.id
    returning o.*
    into found;
    return rowcall.asked('orders', format('order %s', found.id), to_jsonb(found));
end
$$;

-- POST /api/actions/links/create with target_url, and expires_at or not.
create or replace function rowcall.request_link_create(payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    found public.links;
begin
    perform rowcall.refuse_faults(
        rowcall.field_faults(payload, '{target_url,expires_at}')
        || case
            when coalesce(payload -> 'target_url', 'null') = 'null' then '{"target_url": "is missing"}'
            when jsonb_typeof(payload -> 'target_url') <> 'string' or payload ->> 'target_url' !~* '^https?://[^/[:space:]]+'
                or octet_length(payload ->> 'target_url') > 2048
                then '{"target_url": "must be an http or https address of at most 2048 bytes"}'
            else '{}'
        end::jsonb
        || case
            when payload -> 'expires_at' <> 'null'
                and (jsonb_typeof(payload -> 'expires_at') <> 'string' or not rowcall.is_moment(payload ->> 'expires_at'))
                then '{"expires_at": "must be a date like 2026-12-31, or a time with its offset"}'
            else '{}'
        end::jsonb
    );
    perform rowcall.ask_by(payload);
    insert into public.links (target_url, status, expires_at)
    values (payload ->> 'target_url', 'creating', (payload ->> 'expires_at')::timestamptz)
    returning *
    into found;
    return rowcall.asked('links', format('link #%s', found.id), to_jsonb(found))
        || jsonb_build_object('target_url', found.target_url, 'slug', found.slug, 'short_url', found.short_url);
end
$$;

-- POST /api/actions/organizations/{id}/sync. Asked twice before it is told, it is told once.
create or replace function rowcall.request_organization_sync(id text, payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    found public.organizations;
begin
    perform rowcall.refuse_faults(rowcall.field_faults(payload, '{}'));
    perform rowcall.ask_by(payload);
    found := rowcall.known_organization(request_organization_sync.id);
    if found.status is distinct from 'syncing' then
        update public.organizations as o
        set status = 'syncing',
            metadata = rowcall.ask_with(o.metadata, '{}')
        where o.id = found.id
        returning o.*
        into found;
    end if;
    return rowcall.asked('organizations', format('organization #%s', found.id), to_jsonb(found));
end
$$;

-- POST /api/actions/process-now: every worker looks at everything now. What waits for its time still does; why, the answer says.
create or replace function rowcall.process_now() returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
begin
    perform rowcall.sweep_now();
    return jsonb_build_object('success', true, 'message', 'every worker looks now') || rowcall.actions_status();
end
$$;

-- GET /api/actions/status: how many requests are not done, over all queues and in each.
create or replace function rowcall.actions_status() returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'pending_actions', coalesce(sum(h.asked + h.running + h.waiting), 0)::bigint,
        'due', coalesce(sum(h.asked), 0)::bigint,
        'running', coalesce(sum(h.running), 0)::bigint,
        'waiting', coalesce(sum(h.waiting), 0)::bigint,
        'failed', coalesce(sum(h.failed), 0)::bigint,
        'unknown', coalesce(sum(h.unknown), 0)::bigint,
        'by_status', (
            select coalesce(jsonb_object_agg(s.status, s.number), '{}')
            from (
                select w.status, count(*) as number
                from rowcall.work as w
                where w.state in ('asked', 'running', 'waiting')
                group by w.status
            ) as s
        ),
        'queues', coalesce(jsonb_object_agg(h.queue, jsonb_build_object(
            'pending', h.asked + h.running + h.waiting,
            'due', h.asked,
            'running', h.running,
            'waiting', h.waiting,
            'failed', h.failed,
            'unknown', h.unknown,
            'oldest_seconds', round(extract(epoch from h.oldest_age)),
            'held_up', rowcall.held_up(h.queue)
        )), '{}')
    )
    from rowcall.queue_health as h
$$;

-- GET /api/actions/history?limit=: the last attempts at document 1's requests, newest first.
create or replace function rowcall.actions_history(most integer) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object('count', count(*), 'history', coalesce(jsonb_agg(
        jsonb_build_object(
            'queue', h.queue,
            'id', h.key,
            'code', case
                when h.queue = 'codes' then (select c.code from public.codes as c where c.id = h.key::rowcall.codes_key)
            end,
            'generation', h.generation,
            'attempt', h.attempt,
            'settled_as', h.settled_as,
            'meaning', h.meaning,
            'error', h.error,
            'requested_by', h.requested_by,
            'settled_at', h.settled_at,
            'duration_seconds', extract(epoch from h.duration)
        )
        order by h.id desc
    ), '[]'))
    from (
        select *
        from rowcall.history as h
        where h.queue in ('codes', 'orders', 'links', 'organizations')
        order by h.id desc
        limit most
    ) as h
$$;

-- POST /api/monitoring/check-now: the codes are compared with those in Fienta.
create or replace function rowcall.request_check() returns jsonb
language sql
set search_path = pg_catalog
as $$
    select jsonb_build_object('success', true, 'message', rowcall.check_codes_now())
$$;

-- GET /api/monitoring/status: the workers, what the last check of the codes has shown, and how each queue is worked.
create or replace function rowcall.monitoring_status() returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    with worker as (
        select
            w.*,
            case
                when w.heartbeat_at <= now() - interval '15 seconds' then 'dead'
                when w.draining then 'draining'
                else 'alive'
            end as state
        from rowcall.workers as w
        where w.heartbeat_at > now() - interval '1 hour'
    )

    select jsonb_build_object(
        'scheduler', case when exists (select from worker as w where w.state = 'alive') then 'running' else 'stopped' end,
        'workers', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'host', w.host, 'pid', w.pid, 'version', w.version, 'queues', w.queues, 'state', w.state,
                'started_at', w.started_at, 'heartbeat_at', w.heartbeat_at
            ) order by w.started_at), '[]')
            from worker as w
        ),
        'monitoring', (
            select jsonb_build_object(
                'status', f.status,
                'checked_at', f.checked_at,
                'error', f.error_message,
                'codes_in_fienta', f.listed,
                'codes_compared', f.compared,
                'usage', f.usage,
                'drift_count', f.drift_count,
                'drift', f.drift
            )
            from public.fienta_checks as f
            where f.name = 'codes'
        ),
        'queues', (
            select coalesce(jsonb_object_agg(h.queue, jsonb_build_object(
                'state', h.state,
                'reason', h.reason,
                'held_up', rowcall.held_up(h.queue),
                'attempts_24h', h.attempts_24h,
                'success_percent_24h', h.success_percent_24h
            )), '{}')
            from rowcall.queue_health as h
        )
    )
$$;
