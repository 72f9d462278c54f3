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
        -- What was asked before and is not done yet is asked for still; of an amount and a percentage, the newer counts.
        || case
            when action = 'update' and found.status = 'updating' then (
                select coalesce(jsonb_object_agg(n.term, found.metadata -> n.term), '{}')
                from unnest('{new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,new_description}'::text[]) as n (term)
                where found.metadata ? n.term
                  and not (
                      n.term in ('new_discount_percent', 'new_discount_amount')
                      and asked ?| '{new_discount_percent,new_discount_amount}'
                  )
            )
            else '{}'
        end
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
    elsif found.status = 'unknown' then
        raise exception 'nobody knows yet whether the last request for % took effect', found.code
            using errcode = 'PT409', detail = '["code"]', hint = 'wait until somebody has found out';
    elsif (action = 'update' and found.status in ('creating', 'deleting', 'renaming'))
        or (action = 'rename' and found.status in ('creating', 'updating', 'deleting'))
        or (
            found.status = 'renaming'
            and found.claim_token is not null
            and (action <> 'rename' or found.metadata ->> 'new_code' is distinct from asked ->> 'new_code')
        )
    then
        raise exception 'the code % is % at this moment', found.code, found.status
            using errcode = 'PT409', detail = '["code"]', hint = 'ask again when that has ended, or take it back first: cancel_code_request';
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
