-- Document 1 over HTTP: one function for each endpoint. Each checks what is given, names every field that is wrong, changes the
-- row as a frontend would, and answers how the row stands. Whoever holds the row locked is not waited for long.

drop function if exists rowcall.living_code(text);

-- A living code, locked, of which this may be asked. One that is gone is refused; and so is what would undo, unseen, what was
-- promised before: a code that is being created cannot be changed, and one that may just have got another name not even deleted.
create or replace function rowcall.living_code(wanted text, action text, new_code text default null) returns public.codes
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
    elsif found.status = 'unknown' then
        raise exception 'nobody knows yet whether the last request for % took effect', found.code
            using errcode = 'RC409', hint = format('look at Fienta, then: rowcall resolve codes %s', found.id);
    elsif (action = 'update' and found.status in ('creating', 'deleting', 'renaming'))
        or (action = 'rename' and found.status in ('creating', 'updating', 'deleting'))
        -- What has begun may be done already, and then there is no code of this name.
        or (
            found.status = 'renaming'
            and found.claim_token is not null
            and (action <> 'rename' or found.metadata ->> 'new_code' is distinct from living_code.new_code)
        )
    then
        raise exception 'the code % is % at this moment', found.code, found.status
            using errcode = 'RC409', hint = format('ask again when that has ended, or take it back: rowcall cancel codes %s', found.id);
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

-- POST /api/actions/codes/{code}/update, with new_ before each term or without. Asked twice, both are done.
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
    found := rowcall.living_code(request_code_update.code, 'update');
    update public.codes as c
    set status = 'updating',
        metadata = rowcall.ask_with(
            c.metadata,
            -- What was asked before and is not done yet is asked for still; of an amount and a percentage, the newer counts.
            case found.status
                when 'updating' then (
                    select coalesce(jsonb_object_agg(n.term, c.metadata -> n.term), '{}')
                    from unnest(new_terms) as n (term)
                    where c.metadata ? n.term
                      and not (
                          n.term in ('new_discount_percent', 'new_discount_amount')
                          and asked ?| '{new_discount_percent,new_discount_amount}'
                      )
                )
                else '{}'
            end || asked
        )
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
    found := rowcall.living_code(request_code_delete.code, 'delete');
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
    found := rowcall.living_code(request_code_rename.code, 'rename', payload ->> 'new_code');
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

-- POST /api/actions/orders/{id}/update with new_status, new_metadata, or both. What was asked before and is not done yet is asked
-- for still, where this does not say otherwise.
create or replace function rowcall.request_order_update(id text, payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
set lock_timeout = '5s'
as $$
declare
    given constant jsonb := jsonb_strip_nulls(payload - 'new_metadata')
        || case when payload -> 'new_metadata' <> 'null' then jsonb_build_object('new_metadata', payload -> 'new_metadata') else '{}' end;
    unfinished jsonb := '{}';
    found public.orders;
begin
    perform rowcall.refuse_faults(
        rowcall.field_faults(payload, '{new_status,new_metadata}')
        || rowcall.order_faults(given)
    );
    perform rowcall.ask_by(payload);
    found := rowcall.named_order(request_order_update.id);
    if found.status = 'unknown' and found.metadata ? 'action' then
        raise exception 'nobody knows yet whether the last change of order % took effect', found.id
            using errcode = 'RC409', hint = format('look at Fienta, then: rowcall resolve orders %s', found.id);
    end if;
    if found.status = 'updating' and jsonb_typeof(found.metadata) = 'object' then
        unfinished := jsonb_strip_nulls(jsonb_build_object('new_status', found.metadata -> 'new_status'))
            || case jsonb_typeof(found.metadata -> 'new_metadata')
                when 'object' then jsonb_build_object(
                    'new_metadata', found.metadata -> 'new_metadata' || coalesce(given -> 'new_metadata', '{}')
                )
                else '{}'
            end;
    end if;
    update public.orders as o
    set status = 'updating',
        metadata = rowcall.ask_with(o.metadata, '{}') || given - 'request_method' || (unfinished - array(
            select g.key from jsonb_object_keys(given - 'new_metadata') as g (key)
        ))
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
            else '{}'
        end::jsonb
        || rowcall.link_faults(payload)
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
