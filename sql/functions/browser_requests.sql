-- What a page asks by RPC (sql/functions/rpc.sql). Each does what its caller could do with the tables, under the caller's policies
-- and grants, and checks it first. The errors: 22023 with the wrong fields as a JSON array in the detail; PT404 and PT409, which
-- PostgREST makes HTTP 404 and 409. Asked twice for the same, the second time changes nothing.
-- Browsers may not use this schema, so what is named of it here is looked up when this is installed (begin atomic).

-- The terms that a page gave, by their names; of an update they may also be called as the row has them: new_max_uses.
create or replace function rowcall.code_terms(action text, given jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog
as $$
    select coalesce(jsonb_object_agg(case action when 'update' then regexp_replace(g.key, '^new_', '') else g.key end, g.value), '{}')
    from jsonb_each(case jsonb_typeof(given) when 'object' then given else '{}' end) as g
    where g.value <> 'null'
$$;

-- What is wrong with a request: a field and a complaint each, in the order in which a person would look at them.
create or replace function rowcall.code_complaints(action text, code text, given jsonb, terms jsonb) returns jsonb
language sql
stable
begin atomic
    with name (field, given, rule) as (
        values
            ('code', to_jsonb(code), 'must be 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or a digit'),
            ('new_code', terms -> 'new_code', 'must be such a name too, and another than the present one')
    ),

    complaint (nth, field, complaint) as (
        select 1, n.field, n.rule
        from name as n
        where (n.field = 'code' or action = 'rename')
          and (rowcall.code_faults(n.field, n.given) <> '{}' or (n.field = 'new_code' and n.given = to_jsonb(code)))
        union all
        select 2, 'terms', 'must be an object'
        where jsonb_typeof(given) <> 'object'
        union all
        select 2, 'terms', 'must have one of discount_percent, discount_amount, max_uses, expires_at and description'
        where action = 'update'
          and terms = '{}'
        union all
        select 3, left(t.key, 40), 'is not known here'
        from jsonb_object_keys(terms) as t (key)
        where t.key <> all (case action
            when 'rename' then '{new_code}'
            else '{discount_percent,discount_amount,max_uses,expires_at,description}'::text[]
        end)
        union all
        select 4, 'new_' || t.key, 'stands twice'
        from jsonb_object_keys(terms) as t (key)
        where action = 'update'
          and given ?& array[t.key, 'new_' || t.key]
        union all
        select 5, f.field, f.fault
        from jsonb_each_text(rowcall.term_faults(terms, '')) as f (field, fault)
        where action in ('create', 'update')
    )

    select coalesce(jsonb_agg(jsonb_build_object('field', c.field, 'complaint', c.complaint) order by c.nth, c.field), '[]')
    from (select c.nth, c.field, c.complaint from complaint as c order by c.nth, c.field limit 10) as c;
end;

-- Asks for a code to be created, updated, deleted or renamed.
create or replace function rowcall.ask_code(action text, code text, terms jsonb, complaints jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    due constant text := case action
        when 'create' then 'creating' when 'update' then 'updating' when 'delete' then 'deleting' else 'renaming'
    end;
    asked constant jsonb := jsonb_build_object('action', action, 'request_method', 'frontend') || case action
        when 'update' then (select jsonb_object_agg('new_' || t.key, t.value) from jsonb_each(terms) as t)
        else terms
    end;
    found public.codes;
    wanted jsonb;
begin
    if complaints <> '[]' then
        raise exception '%', (select string_agg(format('%s %s', c ->> 'field', c ->> 'complaint'), '; ') from jsonb_array_elements(complaints) as c)
            using errcode = '22023', detail = jsonb_path_query_array(complaints, '$[*].field')::text;
    end if;

    select c.*
    into found
    from public.codes as c
    where c.code = ask_code.code
    order by c.status in ('deleted', 'failed'), c.id desc
    limit 1
    for no key update;

    -- What belongs to an earlier request goes; the rest of the metadata is the users'.
    wanted := case jsonb_typeof(found.metadata) when 'object' then found.metadata else '{}' end
        - '{
            action,requested_at,request_method,new_code,new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,
            new_description
        }'::text[]
        - case action when 'create' then '{discount_percent,discount_amount,max_uses,expires_at,description}' else '{}' end::text[]
        || asked;

    if found.id is null and action <> 'create' then
        raise exception 'there is no code % of yours', code using errcode = 'PT404', hint = 'create it first';
    elsif found.id is null then
        insert into public.codes (code, status, metadata)
        values (ask_code.code, due, asked)
        returning *
        into found;
    elsif (found.status = due and found.metadata - 'requested_at' = wanted) or (action = 'delete' and found.status = 'deleted') then
        null;
    elsif (action = 'create') <> (found.status in ('deleted', 'failed')) then
        raise exception 'the code % is %', found.code, found.status
            using errcode = 'PT409', detail = '["code"]',
                hint = case action when 'create' then 'update it, or choose another' else 'create it anew' end;
    else
        if action = 'rename'
            and exists (
                select
                from public.codes as c
                where c.code = terms ->> 'new_code'
                  and c.status not in ('deleted', 'failed')
            )
        then
            raise exception 'the code % is there already', terms ->> 'new_code'
                using errcode = 'PT409', detail = '["new_code"]', hint = 'choose another';
        end if;
        update public.codes as c
        set status = due,
            metadata = wanted
        where c.id = found.id
        returning c.*
        into found;
    end if;
    return jsonb_build_object(
        'id', found.id, 'code', found.code, 'status', found.status, 'action', found.metadata -> 'action',
        'generation', found.generation, 'requested_at', found.requested_at, 'requested_by', found.requested_by
    );
exception when unique_violation then
    -- Perhaps another user's, whose rows are not to be seen.
    raise exception 'the code % is taken', code using errcode = 'PT409', detail = '["code"]', hint = 'choose another';
end
$$;

-- Takes back a request that no worker has begun.
create or replace function rowcall.take_back_code(code text) returns jsonb
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.codes;
begin
    select c.*
    into found
    from public.codes as c
    where c.code = take_back_code.code
    order by c.status in ('deleted', 'failed'), c.id desc
    limit 1
    for no key update;
    if found.id is null then
        raise exception 'there is no code % of yours', coalesce(code, 'without a name') using errcode = 'PT404';
    elsif found.status in ('creating', 'updating', 'deleting', 'renaming') then
        if found.claim_token is not null then
            raise exception 'the code % is % at this moment', found.code, found.status
                using errcode = 'PT409', hint = 'wait until that has ended, then ask for what you want';
        end if;
        update public.codes as c
        set status = coalesce(c.metadata ->> 'previous_status', case c.status when 'creating' then 'failed' else 'active' end)
        where c.id = found.id
        returning c.*
        into found;
    end if;
    return jsonb_build_object('id', found.id, 'code', found.code, 'status', found.status, 'generation', found.generation);
end
$$;

-- Answers an action: approved, denied or edited, and what is said to the customer besides.
create or replace function rowcall.answer_action(action_id bigint, status text, user_response text) returns jsonb
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    said constant text := nullif(btrim(user_response), '');
    found public.actions;
begin
    if action_id is null then
        raise exception 'action_id is missing' using errcode = '22023', detail = '["action_id"]';
    elsif status = 'edited' and said is null then
        raise exception 'user_response is missing: say what the customer is told'
            using errcode = '22023', detail = '["user_response"]';
    elsif char_length(said) > 4096 then
        raise exception 'user_response must be a text of at most 4096 characters'
            using errcode = '22023', detail = '["user_response"]';
    end if;

    select a.*
    into found
    from public.actions as a
    where a.id = answer_action.action_id
    for no key update;
    if found.id is null then
        raise exception 'there is no action % of yours', action_id using errcode = 'PT404';
    elsif found.status in ('approved', 'denied', 'edited') then
        if found.status <> answer_action.status or said <> btrim(coalesce(found.user_response, '')) then
            raise exception 'action % is already %', found.id, found.status
                using errcode = 'PT409', hint = 'change the row to answer it anew';
        end if;
    else
        update public.actions as a
        set status = answer_action.status,
            user_response = coalesce(said, a.user_response)
        where a.id = found.id
        returning a.*
        into found;
    end if;
    return jsonb_build_object(
        'action_id', found.id, 'status', found.status, 'reply_status', found.reply_status, 'generation', found.generation,
        'requested_at', found.requested_at, 'requested_by', found.requested_by
    );
end
$$;

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
    found public.orders;
begin
    select o.*
    into found
    from public.orders as o
    where o.id::text = order_id
    for no key update;
    if found.id is null then
        raise exception 'there is no order % of yours', coalesce(order_id, 'without a key') using errcode = 'PT404';
    end if;
    if found.status is distinct from 'updating'
        or found.metadata -> 'new_status' is distinct from asked -> 'new_status'
        or found.metadata -> 'new_metadata' is distinct from asked -> 'new_metadata'
    then
        -- What belongs to an earlier request goes; the rest of the metadata is the users'.
        update public.orders as o
        set status = 'updating',
            metadata = o.metadata - '{action,requested_at,request_method,new_status,new_metadata}'::text[] || asked
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
        'select %s, r.metadata ->> ''previous_status'', r.claim_token is not null
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
