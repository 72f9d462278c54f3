-- What a frontend's server asks of the queue of actions: to answer one, and to see all of it.

-- Takes document 2's payload: the same as changing the row with SQL, with every field checked first. The errors: 22023 with
-- the wrong fields as a JSON array in the detail, P0002 for an action that is not there, RC409 for one already answered.
create or replace function rowcall.submit_action_feedback(payload jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
declare
    given jsonb := case jsonb_typeof(payload) when 'object' then payload else '{}' end;
    wrong jsonb := '[]';
    complaints text[] := '{}';
    checked record;
    found public.actions;
begin
    for checked in
        select c.field, c.complaint
        from (values
            (1, 'action_id', not coalesce(jsonb_typeof(given -> 'action_id') = 'number'
                and given ->> 'action_id' ~ '^[1-9][0-9]{0,17}$', false), 'must be the action''s number'),
            (2, 'status', not coalesce(given ->> 'status' in ('approved', 'denied', 'edited'), false),
                'must be approved, denied or edited'),
            (3, 'user_response', coalesce(jsonb_typeof(given -> 'user_response') not in ('string', 'null'), false),
                'must be text'),
            (4, 'contact_id', not coalesce(jsonb_typeof(given -> 'contact_id') in ('number', 'string'), false),
                'must be the contact''s key'),
            (5, 'chatbot_id', coalesce(not (
                jsonb_typeof(given -> 'chatbot_id') = 'null'
                or (jsonb_typeof(given -> 'chatbot_id') = 'number' and given ->> 'chatbot_id' ~ '^[0-9]{1,9}$')
            ), false), 'must be a number'),
            (6, 'request_type', not coalesce(
                jsonb_typeof(given -> 'request_type') = 'string' and btrim(given ->> 'request_type') <> '', false
            ), 'must be text'),
            (7, 'request_details', coalesce(
                jsonb_typeof(given -> 'request_details') not in ('object', 'string', 'null'), false
            ), 'must be an object or text')
        ) as c (nth, field, is_wrong, complaint)
        where c.is_wrong
        order by c.nth
    loop
        wrong := wrong || to_jsonb(checked.field);
        complaints := complaints || case
            when given ? checked.field then format('%s %s', checked.field, checked.complaint)
            else format('%s is missing', checked.field)
        end;
    end loop;
    if wrong <> '[]' then
        raise exception '%', array_to_string(complaints, '; ') using errcode = '22023', detail = wrong::text;
    end if;

    select a.*
    into found
    from public.actions as a
    where a.id = (given ->> 'action_id')::bigint
    for no key update;

    if found.id is null then
        raise exception 'there is no action %', given ->> 'action_id' using errcode = 'P0002';
    end if;
    if found.contact_id::text is distinct from given ->> 'contact_id' then
        raise exception 'contact_id is not the contact of action %', found.id
            using errcode = '22023', detail = '["contact_id"]';
    end if;
    if found.status in ('approved', 'denied', 'edited') then
        raise exception 'action % is already %', found.id, found.status
            using errcode = 'RC409', hint = 'change the row to answer it anew';
    end if;

    update public.actions as a
    set status = given ->> 'status',
        user_response = coalesce(given ->> 'user_response', a.user_response)
    where a.id = found.id
    returning a.*
    into found;

    return jsonb_build_object(
        'action_id', found.id,
        'status', found.status,
        'reply_status', found.reply_status,
        'generation', found.generation
    );
end
$$;

-- An action, its replies, and every attempt at them, oldest first; null when it is not there.
create or replace function rowcall.action_details(id bigint) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'action', jsonb_build_object(
            'id', a.id,
            'contact_id', a.contact_id,
            'chatbot_id', a.chatbot_id,
            'action_type', a.action_type,
            'details', a.details,
            'status', a.status,
            'user_response', a.user_response,
            'reply_status', a.reply_status,
            'state', rowcall.action_state(a.status, a.reply_status, coalesce(a.claimed_until > now(), false)),
            'generation', a.generation,
            'attempts', a.attempts,
            'next_retry_at', case when a.reply_status in ('pending', 'processing') then a.next_retry_at end,
            'error_message', a.error_message,
            'requested_by', a.requested_by,
            'requested_at', a.requested_at,
            'resolved_by', a.resolved_by,
            'resolved_note', a.resolved_note,
            'created_at', a.created_at,
            'updated_at', a.updated_at
        ),
        'reply', (
            select to_jsonb(r)
            from public.action_responses as r
            where r.action_id = a.id
            order by r.generation desc nulls last, r.id desc
            limit 1
        ),
        'replies', coalesce(
            (select jsonb_agg(to_jsonb(r) order by r.id) from public.action_responses as r where r.action_id = a.id), '[]'
        ),
        'attempts', coalesce(
            (
                select jsonb_agg(to_jsonb(h) - '{queue,key,worker}'::text[] order by h.id)
                from rowcall.history as h
                where h.queue = 'actions'
                  and h.key = a.id::text
            ),
            '[]'
        )
    )
    from public.actions as a
    where a.id = action_details.id
$$;
