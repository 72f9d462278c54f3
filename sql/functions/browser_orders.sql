-- What a page asks by RPC of orders, links and organizations (sql/functions/rpc.sql), as browser_requests.sql has it for codes and
-- actions: with its caller's policies and grants, checked first, with the same errors; and mostly once, if it is asked twice.

-- What is given, when nothing is wrong with it: `faults` has a sentence for each field.
create or replace function rowcall.unless_faulty(given jsonb, faults jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
begin
    if faults <> '{}' then
        raise exception '%', (select string_agg(f.field || ' ' || f.fault, '; ' order by f.field) from jsonb_each_text(faults) as f (field, fault))
            using errcode = '22023', detail = (select jsonb_agg(f.field order by f.field) from jsonb_object_keys(faults) as f (field))::text;
    end if;
    return given;
end
$$;

-- What is wrong with a change of an order that a page asks for. Which order at Fienta it is, no page says.
create or replace function rowcall.page_order_faults(given jsonb) returns jsonb
language sql
immutable
begin atomic
    select rowcall.order_faults(given) || case
        when given -> 'new_metadata' ? 'fienta_order_id' then '{"new_metadata": "must not have fienta_order_id"}'
        else '{}'
    end::jsonb;
end;

-- Asks for another status of an order, other metadata, or both.
create or replace function rowcall.ask_order(order_id text, given jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    asked constant jsonb := jsonb_strip_nulls(given - 'new_metadata')
        || case when given -> 'new_metadata' <> 'null' then jsonb_build_object('new_metadata', given -> 'new_metadata') else '{}' end;
    wanted jsonb := asked;
    found public.orders;
begin
    select o.*
    into found
    from public.orders as o
    where o.id::text = order_id
    for no key update;
    if found.id is null then
        raise exception 'there is no order % of yours', coalesce(order_id, 'without a key') using errcode = 'PT404';
    elsif found.status = 'unknown' and found.metadata ? 'action' then
        raise exception 'nobody knows yet whether the last change of order % took effect', found.id
            using errcode = 'PT409', hint = 'wait until somebody has found out';
    end if;
    -- As rowcall.with_unfinished has it, which is not for pages to call: what was asked before and is not done yet is asked for still.
    if found.status = 'updating' and jsonb_typeof(found.metadata) = 'object' then
        wanted := jsonb_strip_nulls(jsonb_build_object('new_status', found.metadata -> 'new_status')) || asked || case
            when jsonb_typeof(found.metadata -> 'new_metadata') = 'object' then jsonb_build_object(
                'new_metadata', found.metadata -> 'new_metadata' || coalesce(asked -> 'new_metadata', '{}')
            )
            else '{}'
        end;
    end if;
    if found.status is distinct from 'updating'
        or found.metadata -> 'new_status' is distinct from wanted -> 'new_status'
        or found.metadata -> 'new_metadata' is distinct from wanted -> 'new_metadata'
    then
        -- What belongs to an earlier request goes; the rest of the metadata is the users'.
        update public.orders as o
        set status = 'updating',
            metadata = case jsonb_typeof(o.metadata) when 'object' then o.metadata else '{}' end
                - '{action,requested_at,request_method,new_status,new_metadata}'::text[] || wanted
        where o.id = found.id
        returning o.*
        into found;
    end if;
    return jsonb_build_object(
        'id', found.id, 'status', found.status, 'action', found.metadata -> 'action',
        'previous_status', found.metadata -> 'previous_status', 'generation', found.generation,
        'requested_at', found.requested_at, 'requested_by', found.requested_by
    );
end
$$;

-- How a link stands, for a page.
create or replace function rowcall.link_answer(link public.links) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'id', (link).id, 'status', (link).status, 'target_url', (link).target_url, 'expires_at', (link).expires_at,
        'slug', (link).slug, 'short_url', (link).short_url, 'generation', (link).generation,
        'requested_at', (link).requested_at, 'requested_by', (link).requested_by
    )
$$;

-- Asks for a new link. Asked twice, there are two.
create or replace function rowcall.ask_new_link(given jsonb) returns public.links
language sql
set search_path = pg_catalog, public
as $$
    insert into public.links (target_url, status, expires_at)
    values (given ->> 'target_url', 'creating', (given ->> 'expires_at')::timestamptz)
    returning *
$$;

-- Changes a link: where it leads, until when, and whether it does. One that is to be active again, and was not, the worker looks at first.
create or replace function rowcall.ask_link(link_id text, given jsonb, wanted text) returns public.links
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.links;
    target constant text := given ->> 'target_url';
    until constant timestamptz := (given ->> 'expires_at')::timestamptz;
    becomes text;
begin
    select l.*
    into found
    from public.links as l
    where l.id::text = link_id
    for no key update;
    if found.id is null then
        raise exception 'there is no link % of yours', coalesce(link_id, 'without a key') using errcode = 'PT404', hint = 'create it first';
    elsif wanted = 'disabled' and found.status = 'failed' then
        raise exception 'link #% is failed: it leads nowhere', found.id using errcode = 'PT409';
    end if;
    becomes := case
        when wanted = 'active' and found.status in ('disabled', 'failed') then 'creating'
        when wanted = 'disabled' then 'disabled'
        -- What is wrong with a failed link is its target.
        when found.status = 'failed' and target is not null then 'creating'
        else found.status
    end;
    if (becomes, coalesce(target, found.target_url), coalesce(until, found.expires_at))
        is distinct from (found.status, found.target_url, found.expires_at)
    then
        update public.links as l
        set target_url = coalesce(target, l.target_url),
            expires_at = coalesce(until, l.expires_at),
            status = becomes,
            updated_at = now()
        where l.id = found.id
        returning l.*
        into found;
    end if;
    return found;
end
$$;

-- Asks for an organization to be told of. Asked twice before it is told, it is told once. Its address is not for pages, so
-- the columns are named.
create or replace function rowcall.ask_organization(organization_id text) returns jsonb
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found record;
begin
    select o.id, o.status
    into found
    from public.organizations as o
    where o.id::text = organization_id
    for no key update;
    if found.id is null then
        raise exception 'there is no organization % of yours', coalesce(organization_id, 'without a key') using errcode = 'PT404';
    end if;
    if found.status is distinct from 'syncing' then
        update public.organizations as o
        set status = 'syncing'
        where o.id = found.id;
    end if;
    return (
        select jsonb_build_object(
            'id', o.id, 'status', o.status, 'action', o.metadata -> 'action', 'previous_status', o.metadata -> 'previous_status',
            'generation', o.generation, 'requested_at', o.requested_at, 'requested_by', o.requested_by
        )
        from public.organizations as o
        where o.id = found.id
    );
end
$$;

-- Takes back a request for an order, a link or an organization that no worker has begun. `label` is what people call such a row.
create or replace function rowcall.take_back(relation text, label text, key text) returns jsonb
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    -- Of the same types, whatever the table.
    answer constant text := 'jsonb_build_object(''id'', r.id, ''status'', r.status, ''generation'', r.generation)';
    stands jsonb;
    back text;
    is_begun boolean;
begin
    execute format(
        'select %s, coalesce(r.metadata ->> ''reached_status'', r.metadata ->> ''previous_status''), r.claim_token is not null
         from public.%I as r where r.id::text = $1 for no key update',
        answer, relation
    ) into stands, back, is_begun using key;
    if stands is null then
        raise exception 'there is no % % of yours', label, coalesce(key, 'without a key') using errcode = 'PT404';
    elsif stands ->> 'status' in ('updating', 'creating', 'syncing') then
        back := coalesce(back, case stands ->> 'status' when 'creating' then 'failed' end);
        if is_begun or back is null then
            raise exception '% % is % at this moment', label, key, stands ->> 'status'
                using errcode = 'PT409', hint = 'wait until that has ended, then ask for what you want';
        end if;
        execute format('update public.%I as r set status = $1 where r.id::text = $2 returning %s', relation, answer)
            into stands using back, key;
    end if;
    return stands;
end
$$;
