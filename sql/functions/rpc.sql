-- What a page calls: supabase.rpc('request_code_delete', { code: 'MY-CODE' }). Only the role authenticated may. Their bodies are
-- parsed here and now, so that they may call what stands in a schema that their callers may not use.

create or replace function public.request_code_create(code text, terms jsonb default '{}') returns jsonb
language sql
begin atomic
    select rowcall.ask_code('create', code, t.terms, rowcall.code_complaints('create', code, request_code_create.terms, t.terms))
    from (select rowcall.code_terms('create', request_code_create.terms) as terms) as t;
end;

create or replace function public.request_code_update(code text, terms jsonb) returns jsonb
language sql
begin atomic
    select rowcall.ask_code('update', code, t.terms, rowcall.code_complaints('update', code, request_code_update.terms, t.terms))
    from (select rowcall.code_terms('update', request_code_update.terms) as terms) as t;
end;

create or replace function public.request_code_delete(code text) returns jsonb
language sql
begin atomic
    select rowcall.ask_code('delete', code, '{}', rowcall.code_complaints('delete', code, '{}', '{}'));
end;

create or replace function public.request_code_rename(code text, new_code text) returns jsonb
language sql
begin atomic
    select rowcall.ask_code('rename', code, t.terms, rowcall.code_complaints('rename', code, t.terms, t.terms))
    from (select jsonb_build_object('new_code', new_code) as terms) as t;
end;

create or replace function public.cancel_code_request(code text) returns jsonb
language sql
begin atomic
    select rowcall.take_back_code(code);
end;

create or replace function public.approve_action(action_id bigint, user_response text default null) returns jsonb
language sql
begin atomic
    select rowcall.answer_action(action_id, 'approved', user_response);
end;

create or replace function public.deny_action(action_id bigint, user_response text default null) returns jsonb
language sql
begin atomic
    select rowcall.answer_action(action_id, 'denied', user_response);
end;

create or replace function public.edit_action(action_id bigint, user_response text) returns jsonb
language sql
begin atomic
    select rowcall.answer_action(action_id, 'edited', user_response);
end;

create or replace function public.request_order_update(order_id text, new_status text default null, new_metadata jsonb default null)
returns jsonb
language sql
begin atomic
    select rowcall.ask_order(order_id, rowcall.unless_faulty(t.given, rowcall.page_order_faults(t.given)))
    from (select jsonb_build_object('new_status', new_status, 'new_metadata', new_metadata) as given) as t;
end;

create or replace function public.cancel_order_request(order_id text) returns jsonb
language sql
begin atomic
    select rowcall.take_back('orders', 'order', order_id);
end;

create or replace function public.request_link_create(target_url text, expires_at text default null) returns jsonb
language sql
begin atomic
    select rowcall.link_answer(rowcall.ask_new_link(rowcall.unless_faulty(t.given, rowcall.link_faults(t.given) || case
        when request_link_create.target_url is null then '{"target_url": "is missing"}' else '{}'
    end::jsonb)))
    from (
        select jsonb_build_object('target_url', request_link_create.target_url, 'expires_at', request_link_create.expires_at) as given
    ) as t;
end;

create or replace function public.request_link_update(link_id text, target_url text default null, expires_at text default null)
returns jsonb
language sql
begin atomic
    select rowcall.link_answer(rowcall.ask_link(link_id, rowcall.unless_faulty(t.given, rowcall.link_faults(t.given) || case
        when request_link_update.target_url is null and request_link_update.expires_at is null
            then '{"target_url": "or expires_at is missing"}'
        else '{}'
    end::jsonb), 'as it is'))
    from (
        select jsonb_build_object('target_url', request_link_update.target_url, 'expires_at', request_link_update.expires_at) as given
    ) as t;
end;

create or replace function public.disable_link(link_id text) returns jsonb
language sql
begin atomic
    select rowcall.link_answer(rowcall.ask_link(link_id, '{}', 'disabled'));
end;

create or replace function public.enable_link(link_id text) returns jsonb
language sql
begin atomic
    select rowcall.link_answer(rowcall.ask_link(link_id, '{}', 'active'));
end;

create or replace function public.cancel_link_request(link_id text) returns jsonb
language sql
begin atomic
    select rowcall.take_back('links', 'link', link_id);
end;

create or replace function public.request_organization_sync(organization_id text) returns jsonb
language sql
begin atomic
    select rowcall.ask_organization(organization_id);
end;

create or replace function public.cancel_organization_request(organization_id text) returns jsonb
language sql
begin atomic
    select rowcall.take_back('organizations', 'organization', organization_id);
end;
