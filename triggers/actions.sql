-- The triggers of public.actions and public.response_templates, in firing order.

-- Makes an answer a request for its reply, and takes the request back when the answer is taken back. The bubble is not
-- written here: a user's transaction writes no other table. A listener of public.actions sees the answer at once, the bubble
-- follows with the claim, or with the sweep when the row must wait.
create or replace function rowcall.ask_reply() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
    if new.status is null or new.status not in ('approved', 'denied', 'edited') then
        new.reply_status := null;
    elsif tg_op = 'INSERT' then
        new.reply_status := coalesce(new.reply_status, 'pending');
    elsif new.status is distinct from old.status or coalesce(new.user_response, '') <> coalesce(old.user_response, '') then
        new.reply_status := 'pending';
    end if;
    new.held_back := false;
    new.resolved_by := null;
    new.resolved_note := null;
    new.updated_at := now();
    return new;
end
$$;

-- A row that comes with a reply_status of its own, such as `sent` from an import, asks for nothing.
create or replace trigger _050_ask_insert
before insert on public.actions
for each row
when (new.status in ('approved', 'denied', 'edited') and new.reply_status is null and new.claim_token is null)
execute function rowcall.ask_reply();

create or replace trigger _050_ask_update
before update of status, user_response on public.actions
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status in ('approved', 'denied', 'edited') or old.status in ('approved', 'denied', 'edited'))
    and (new.status is distinct from old.status or coalesce(new.user_response, '') <> coalesce(old.user_response, ''))
)
execute function rowcall.ask_reply();

create or replace trigger _100_stamp_insert
before insert on public.actions
for each row
when (new.reply_status in ('pending', 'processing') and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due states counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status, user_response, reply_status on public.actions
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.reply_status in ('pending', 'processing') or old.reply_status in ('pending', 'processing'))
    and (
        new.status is distinct from old.status
        or coalesce(new.user_response, '') <> coalesce(old.user_response, '')
        or new.reply_status is distinct from old.reply_status
    )
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.actions
for each row
when (new.reply_status in ('pending', 'processing'))
execute function rowcall.ring('actions');

create or replace trigger _900_ring_update
after update of status, user_response, reply_status on public.actions
for each row
when (
    new.reply_status in ('pending', 'processing')
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('actions');

-- Refuses a template whose placeholders nobody could fill in: better now, to its author, than later to a customer.
create or replace function rowcall.check_template() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    template text;
    name text;
begin
    foreach template in array array[new.body] || coalesce(new.approved_parameters, '{}') loop
        for name in select btrim(m[1]) from regexp_matches(template, '\{\{([^{}]*)\}\}', 'g') as m loop
            if name !~ '^(contact_name|user_response|action_type|action_id|outcome|details(\.[A-Za-z0-9_-]+)+)$' then
                raise exception 'unknown placeholder {{%}} in the template for % %', name, new.action_type, new.outcome
                    using errcode = 'check_violation',
                        constraint = 'response_templates_placeholders_are_known',
                        hint = 'known are contact_name, user_response, action_type, action_id, outcome and details.<key>';
            end if;
        end loop;
        if regexp_replace(template, '\{\{[^{}]*\}\}', '', 'g') ~ '\{\{|\}\}' then
            raise exception 'a placeholder of the template for % % is not closed', new.action_type, new.outcome
                using errcode = 'check_violation',
                    constraint = 'response_templates_placeholders_are_known',
                    hint = 'write {{name}}';
        end if;
    end loop;
    return new;
end
$$;

create or replace trigger _050_check_template
before insert or update on public.response_templates
for each row
execute function rowcall.check_template();
