-- The operator's verbs for the queue of actions, what others than its worker settle, and the bubbles.

-- The row of an action that an operator names, locked; an error in words when there is none.
create or replace function rowcall.named_action(wanted_key text) returns public.actions
language plpgsql
set search_path = pg_catalog
as $$
declare
    found public.actions;
begin
    if wanted_key ~ '^[0-9]{1,18}$' then
        select a.*
        into found
        from public.actions as a
        where a.id = wanted_key::bigint
        for no key update;
    end if;
    if found.id is null then
        raise exception 'actions has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return found;
end
$$;

-- Sends a stopped action's reply again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_actions(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.actions := rowcall.named_action(wanted_key);
    label constant text := format('%s #%s', found.action_type, found.id);
begin
    if found.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    end if;

    if found.reply_status in ('pending', 'processing') then
        update public.actions as a
        set attempts = 0,
            next_retry_at = now()
        where a.id = found.id;
        perform pg_notify('rowcall', 'actions');
        return format('%s is tried now', label);
    end if;

    if found.reply_status is distinct from 'failed' and found.reply_status is distinct from 'unknown' then
        raise exception 'the reply to % is %: there is nothing to try again', label, coalesce(found.reply_status, 'not asked for')
            using errcode = 'invalid_parameter_value',
                hint = 'a change of status or user_response on the row sends a new reply';
    end if;

    -- A person decided: a reply that may have gone out is sent once more, as a request of its own.
    update public.actions as a
    set reply_status = 'pending',
        -- Where the token stays as it is, the stamp trigger counts.
        generation = a.generation + (found.claim_token is not null)::integer,
        attempts = 0,
        next_retry_at = now(),
        held_back = false,
        error_message = null,
        resolved_by = null,
        resolved_note = null,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        claimed_generation = null,
        requested_by = rowcall.requester(),
        requested_at = now(),
        updated_at = now()
    where a.id = found.id;
    perform pg_notify('rowcall', 'actions');
    return format(
        '%s is asked for again%s', label,
        case when found.reply_status = 'unknown' then '; if the first one did go out, the customer gets it twice' end
    );
end
$$;

-- Takes back a reply that is not sent; the answer on the row stays. Returns what it did, in words.
create or replace function rowcall.cancel_actions(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.actions := rowcall.named_action(wanted_key);
    label constant text := format('%s #%s', found.action_type, found.id);
begin
    if found.reply_status is null or found.reply_status not in ('pending', 'processing') then
        raise exception 'the reply to % is %: there is nothing to cancel', label, coalesce(found.reply_status, 'not asked for')
            using errcode = 'invalid_parameter_value';
    end if;

    -- The stamp trigger sees a changed reply_status and counts a new generation: what still runs is superseded.
    update public.actions as a
    set reply_status = null,
        held_back = false,
        updated_at = now()
    where a.id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'actions', wanted_key, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    perform rowcall.show_action(found.id);
    perform pg_notify('rowcall', 'actions');

    return format(
        '%s stays %s, without a reply%s', label, found.status,
        case when found.claimed_until > now() then '; one is being sent and may still go out, history will tell' end
    );
end
$$;

-- Settles an action whose reply nobody can tell about, as a person found out: done or failed. In words.
create or replace function rowcall.resolve_actions(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    found constant public.actions := rowcall.named_action(wanted_key);
    label constant text := format('%s #%s', found.action_type, found.id);
begin
    if found.reply_status is distinct from 'unknown' then
        raise exception 'the reply to % is %, not unknown: there is nothing to resolve',
            label, coalesce(found.reply_status, 'not asked for')
            using errcode = 'invalid_parameter_value';
    end if;
    perform rowcall.settle_action(
        found.id, verdict = 'done', case when verdict = 'failed' then note end, rowcall.requester(), note
    );
    return format('%s is %s', label, case verdict when 'done' then 'sent' else 'failed' end);
end
$$;

-- Ends an action by what somebody else than its worker knows: a status webhook, or a person (`who`, `note`).
create or replace function rowcall.settle_action(id bigint, is_sent boolean, error text, who text, note text) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    before public.actions;
    mark text;
begin
    select a.* into before from public.actions as a where a.id = settle_action.id for no key update;
    mark := format('actions:%s:%s', before.id, before.generation);

    -- A claim that a dead worker left is ended with it; the fence keeps its outcome out.
    update public.actions as a
    set reply_status = case when is_sent then 'sent' else 'failed' end,
        error_message = case when not is_sent then settle_action.error end,
        resolved_by = who,
        resolved_note = note,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        held_back = false,
        updated_at = now()
    where a.id = before.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'actions', before.id::text, before.generation, greatest(before.attempts, 1),
        case when is_sent then 'done' else 'failed' end,
        case when who is null then settle_action.error else format('resolved by %s: %s', who, note) end,
        case
            when who is null then jsonb_build_object('by', 'status webhook')
            else jsonb_build_object('resolved_by', who, 'note', note)
        end,
        before.requested_by
    );

    update public.action_responses as r
    set status = case when is_sent then 'sent' else 'failed' end,
        sent_at = case when is_sent then coalesce(r.sent_at, now()) else r.sent_at end
    where r.reference = mark
      and r.status not in ('sent', 'delivered', 'read', 'failed');

    if is_sent and before.contact_id is not null then
        insert into public.messages (contact_id, direction, message_type, content, whatsapp_message_id, metadata)
        select
            before.contact_id, 'outbound', 'text', coalesce(max(r.response_text), ''), max(r.whatsapp_message_id),
            jsonb_build_object('action_id', before.id, 'reference', mark, 'made_by', max(r.made_by))
        from public.action_responses as r
        where r.reference = mark
        on conflict do nothing;
    end if;
    perform rowcall.show_action(before.id);
    perform pg_notify('rowcall', 'actions');
end
$$;

-- Writes an action's bubble, and tells of its end once. A bubble that somebody holds locked is left to the sweep. Returns
-- whether anything was to be done.
create or replace function rowcall.show_action(id bigint) returns boolean
language plpgsql
set search_path = pg_catalog
as $$
declare
    shown public.actions;
    bubble jsonb;
    changed bigint := 0;
    more bigint;
begin
    select a.* into shown from public.actions as a where a.id = show_action.id;
    bubble := rowcall.bubble(
        shown.id::text, shown.status, shown.reply_status, shown.generation,
        coalesce(shown.claimed_until > now() and shown.reply_status in ('pending', 'processing'), false),
        shown.error_message
    );

    with held as materialized (
        select m.id
        from public.messages as m
        where m.message_type = 'action_indicator'
          and m.metadata ->> 'action_id' = shown.id::text
          and not m.metadata @> bubble
        for no key update skip locked
    )
    update public.messages as m
    set metadata = coalesce(m.metadata, '{}') || bubble,
        updated_at = now()
    where m.id = any (array(select h.id from held as h));
    get diagnostics changed = row_count;

    if shown.contact_id is not null then
        insert into public.messages (contact_id, direction, message_type, content, metadata)
        select
            shown.contact_id, 'internal', 'action_indicator', replace(shown.action_type, '_', ' '),
            jsonb_build_object('action_type', shown.action_type, 'made_by', 'rowcall') || bubble
        where not exists (
            select
            from public.messages as m
            where m.message_type = 'action_indicator'
              and m.metadata ->> 'action_id' = shown.id::text
        )
        -- A claim may make it at the same moment.
        on conflict do nothing;
        get diagnostics more = row_count;
        changed := changed + more;

        if shown.reply_status in ('sent', 'failed', 'unknown') then
            insert into public.messages (contact_id, direction, message_type, content, metadata)
            values (
                shown.contact_id, 'internal', 'action_status_update',
                format('%s: %s', replace(shown.action_type, '_', ' '), concat_ws(', ', bubble ->> 'state', shown.error_message)),
                bubble || jsonb_build_object('reference', format('actions:%s:%s', shown.id, shown.generation))
            )
            on conflict do nothing;
            get diagnostics more = row_count;
            changed := changed + more;
        end if;
    end if;
    return changed > 0;
end
$$;

-- Settles what a report has told while the reply was being settled, whose statement could not see it yet: the approved
-- template is asked for, or the row follows its message. Then mends bubbles that disagree with their rows: of what is due,
-- of what stopped, of the newest, and of a stretch of the table that moves on from call to call. A worker's sweep calls it.
-- Returns how many it mended, some hundreds at most.
create or replace function rowcall.repair_actions() returns integer
language plpgsql
set search_path = pg_catalog
as $$
declare
    newest constant bigint := coalesce((select max(a.id) from public.actions as a), 0);
    stretch constant bigint := 500 * ((extract(epoch from now())::bigint / 30) % (newest / 500 + 1));
    looked record;
    mended integer := 0;
begin
    for looked in
        select a.id, r.status as told, r.error_code, a.reply_status
        from (
            (
                select n.action_id, n.reference, n.status, n.error_code, n.made_by, n.status_at
                from public.action_responses as n
                where n.reference is not null
                order by n.id desc
                limit 500
            )
            union
            (
                select o.action_id, o.reference, o.status, o.error_code, o.made_by, o.status_at
                from public.actions as u
                join public.action_responses as o on o.reference = format('actions:%s:%s', u.id, u.generation)
                where u.reply_status = 'unknown'
                order by u.id desc
                limit 500
            )
        ) as r
        join public.actions as a on a.id = r.action_id
        where r.reference = format('actions:%s:%s', a.id, a.generation)
          and a.resolved_by is null
          and r.status_at is not null
          and case a.reply_status
              when 'unknown' then r.status in ('sent', 'delivered', 'read', 'failed')
              when 'sent' then r.status = 'failed'
              when 'failed' then r.status in ('delivered', 'read')
                  or (
                      -- Not one that failed long ago and could have been sent with a template that is named only now.
                      r.status = 'failed'
                      and r.error_code = '131047'
                      and r.made_by is distinct from 'approved_template'
                      and r.status_at between a.updated_at - interval '2 minutes' and a.updated_at
                      and a.updated_at > now() - interval '5 minutes'
                  )
          end
        order by a.id
        limit 100
    loop
        if looked.told = 'failed' and rowcall.ask_approved_template(looked.id) then
            mended := mended + 1;
        elsif looked.reply_status <> 'failed' or looked.told <> 'failed' then
            perform rowcall.settle_action(
                looked.id, looked.told <> 'failed',
                case
                    when looked.told = 'failed' then format(
                        'WhatsApp could not deliver the message%s', coalesce(' (code ' || looked.error_code || ')', '')
                    )
                end,
                null, null
            );
            mended := mended + 1;
        end if;
    end loop;

    for looked in
        select k.id
        from (
            (
                select a.id from public.actions as a
                where a.reply_status in ('pending', 'processing')
                order by a.next_retry_at, a.id
                limit 500
            )
            union
            (
                select a.id from public.actions as a
                where a.reply_status in ('failed', 'unknown')
                order by a.id desc
                limit 500
            )
            union
            (
                select r.action_id from public.action_responses as r
                where r.reference is not null
                order by r.id desc
                limit 500
            )
            union
            select a.id from public.actions as a
            where a.generation > 0
              and (a.id > newest - 500 or (a.id > stretch and a.id <= stretch + 500))
        ) as k
        join public.actions as a on a.id = k.id
        left join lateral (
            select min(m.metadata ->> 'state') as first, max(m.metadata ->> 'state') as last
            from public.messages as m
            where m.message_type = 'action_indicator'
              and m.metadata ->> 'action_id' = a.id::text
        ) as b on true
        cross join lateral (
            select
                rowcall.action_state(
                    a.status, a.reply_status,
                    coalesce(a.claimed_until > now() and a.reply_status in ('pending', 'processing'), false)
                ) as state
        ) as s
        where a.generation > 0
          and (
              b.first is distinct from s.state
              or b.last is distinct from s.state
              or (
                  a.reply_status in ('sent', 'failed', 'unknown')
                  and not exists (
                      select
                      from public.messages as m
                      where m.message_type = 'action_status_update'
                        and m.metadata ->> 'reference' = format('actions:%s:%s', a.id, a.generation)
                        and m.metadata ->> 'state' = s.state
                  )
              )
          )
        order by k.id
        limit 500
    loop
        if rowcall.show_action(looked.id) then
            mended := mended + 1;
        end if;
    end loop;
    return mended;
end
$$;
