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
