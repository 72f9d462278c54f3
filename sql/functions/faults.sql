-- What document 1's requests have in common, over HTTP and by RPC: what is wrong with what is given, field by field; what a request leaves on the
-- row; and the answer to it.

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

-- What is wrong with the name of a code. This and the terms below serve pages too, who may not use this schema
-- (browser_requests.sql): what they call is looked up here and now.
create or replace function rowcall.code_faults(field text, given jsonb) returns jsonb
language sql
immutable
begin atomic
    select case
        when given is null or given = 'null' then jsonb_build_object(field, 'is missing')
        when jsonb_typeof(given) <> 'string' or given #>> '{}' !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' then jsonb_build_object(
            field, 'must be 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or a digit'
        )
        else '{}'
    end;
end;

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
begin atomic
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
    from term as t;
end;

-- What is wrong with a change of an order: another status, other metadata, or both.
create or replace function rowcall.order_faults(given jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when coalesce(given -> 'new_status', 'null') = 'null' and coalesce(given -> 'new_metadata', 'null') = 'null'
            then '{"new_status": "or new_metadata is missing"}'
        when given -> 'new_status' <> 'null'
            and (jsonb_typeof(given -> 'new_status') <> 'string'
                or given ->> 'new_status' !~ '^[A-Za-z][A-Za-z0-9_-]{0,39}$'
                or lower(given ->> 'new_status') in ('updating', 'unknown'))
            then '{"new_status": "must be a word like completed, of letters, digits, dashes and underscores, and neither updating nor unknown"}'
        else '{}'
    end::jsonb
    || case
        when given -> 'new_metadata' <> 'null' and jsonb_typeof(given -> 'new_metadata') <> 'object'
            then '{"new_metadata": "must be an object"}'
        when given -> 'new_metadata' ?| '{
            action,requested_at,request_method,previous_status,new_status,new_metadata,action_failed,action_error,failed_at,
            updated_in_fienta_at,reached_status,failed_request,cancelled_request
        }' then '{"new_metadata": "must have no key of the request itself, such as action or previous_status"}'
        else '{}'
    end::jsonb
$$;

-- What is wrong with a link's target and its end. What a browser makes of an address, the worker knows best (src/link.rs).
create or replace function rowcall.link_faults(given jsonb) returns jsonb
language sql
stable
begin atomic
    select case
        when given -> 'target_url' <> 'null'
            and (jsonb_typeof(given -> 'target_url') <> 'string' or given ->> 'target_url' !~* '^https?://[^/[:space:]]+'
                or octet_length(given ->> 'target_url') > 2048)
            then '{"target_url": "must be a whole http or https address of at most 2048 bytes, without a login, blanks or line breaks, and no short link itself"}'
        else '{}'
    end::jsonb
    || case
        when given -> 'expires_at' <> 'null'
            and (jsonb_typeof(given -> 'expires_at') <> 'string' or not rowcall.is_moment(given ->> 'expires_at'))
            then '{"expires_at": "must be a date like 2026-12-31, or a time with its offset"}'
        else '{}'
    end::jsonb;
end;

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
            new_max_uses,new_expires_at,new_description,new_code,new_status,new_metadata,renamed_to,cancelled_request,failed_request
        }'::text[]
        || jsonb_strip_nulls(given - '{code,request_method}'::text[])
$$;

-- Moves what a request asks for out of the way, to a key that nobody reads: it is kept for whoever looks, and no later request
-- that adds to the metadata asks for it.
create or replace function rowcall.set_aside(metadata jsonb, place text) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when w.wishes is null then set_aside.metadata
        else set_aside.metadata - w.keys || jsonb_build_object(place, w.wishes)
    end
    from (
        select jsonb_object_agg(k.key, set_aside.metadata -> k.key) as wishes, array_agg(k.key) as keys
        from unnest('{
            new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,new_description,new_code,new_status,new_metadata
        }'::text[]) as k (key)
        where set_aside.metadata ? k.key
    ) as w
$$;
