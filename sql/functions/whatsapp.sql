-- What WhatsApp tells: how a message fares, and what a customer writes. Each may come late, twice, or out of order.

-- Asks for the approved template at once where WhatsApp took a reply and then refused it, because the customer last wrote more than
-- 24 hours ago. It is a request of its own, whose payload says that the window is closed. Returns whether it did.
create or replace function rowcall.ask_approved_template(id bigint) returns boolean
language plpgsql
set search_path = pg_catalog
as $$
declare
    about public.actions;
    because constant text := 'WhatsApp could not deliver the message (code 131047)';
begin
    select a.*
    into about
    from public.actions as a
    join public.action_responses as r on r.reference = format('actions:%s:%s', a.id, a.generation)
    where a.id = ask_approved_template.id
      and a.reply_status in ('sent', 'unknown', 'failed')
      and a.resolved_by is null
      and r.status = 'failed'
      and r.error_code = '131047'
      and r.made_by is distinct from 'approved_template'
      and jsonb_typeof(
          rowcall.compose_reply(a.id, a.action_type, a.status, a.user_response, a.details, a.contact_id) -> 'approved_template'
      ) = 'object'
    for no key update of a;
    if about.id is null then
        return false;
    end if;

    update public.actions as a
    set reply_status = 'pending',
        -- Where the token stays as it is, the stamp trigger counts.
        generation = a.generation + (about.claim_token is not null)::integer,
        attempts = 0,
        next_retry_at = now(),
        held_back = false,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        requested_at = now(),
        updated_at = now()
    where a.id = about.id;
    -- Not with the request, whose stamp clears it.
    update public.actions as a
    set error_message = because || '; the approved template is sent instead'
    where a.id = about.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'actions', about.id::text, about.generation, greatest(about.attempts, 1), 'failed', because,
        jsonb_build_object('by', 'status webhook'), about.requested_by
    );
    perform rowcall.show_action(about.id);
    perform pg_notify('rowcall', 'actions');
    return true;
end
$$;

-- Keeps the furthest state of a sent message (sent, delivered, read; failed unless it was delivered), found by our reference
-- or by the provider's message id. Settles an action that is unknown, or whose claim was lost, when the reference is that of
-- its newest request. A running claim is left to its worker, whose settle reads what is kept here. Returns what it did.
create or replace function rowcall.whatsapp_status(
    provider text, reference text, message_id text, status text, error_code text, at timestamptz
) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    rank constant text[] := '{unknown,sent,delivered,read}';
    part constant text[] := regexp_match(reference, '^actions:([1-9][0-9]{0,17}):([1-9][0-9]{0,8})$');
    told constant text := case lower(status) when 'played' then 'read' else lower(status) end;
    wanted text;
    about public.actions;
    known text;
    reply public.action_responses;
    failed_because constant text := format(
        'WhatsApp could not deliver the message%s', coalesce(' (code ' || whatsapp_status.error_code || ')', '')
    );
begin
    if told is null or told not in ('sent', 'delivered', 'read', 'failed') then
        return 'ignored: no such status';
    end if;

    -- The message id finds the row when a provider leaves our reference out.
    wanted := case when part is not null then whatsapp_status.reference end;
    if wanted is null then
        select r.reference
        into wanted
        from public.action_responses as r
        where r.whatsapp_message_id = message_id
          and r.reference is not null
        limit 1;
    end if;
    if wanted is null then
        return 'ignored: not ours';
    end if;

    -- The action first, as the worker's settle does, so that the two never wait for each other crosswise.
    select a.*
    into about
    from public.actions as a
    where a.id = split_part(wanted, ':', 2)::bigint
    for no key update;
    if about.id is null or split_part(wanted, ':', 3)::integer > about.generation then
        return 'ignored: not ours';
    end if;
    -- Another installation behind the same number may use the same reference, and so did this one before its database was
    -- made anew: then the message is another one.
    select r.whatsapp_message_id
    into known
    from public.action_responses as r
    where r.reference = wanted;
    if known <> message_id then
        return 'ignored: not ours';
    end if;

    insert into public.action_responses as r (
        action_id, response_text, sent_at, whatsapp_message_id, status, provider, generation, reference, error_code, status_at
    )
    values (
        about.id, '', case when told <> 'failed' then at end, message_id, told, provider, split_part(wanted, ':', 3)::integer, wanted,
        whatsapp_status.error_code, at
    )
    on conflict do nothing
    returning r.*
    into reply;

    if reply.id is null then
        update public.action_responses as r
        set status = told,
            whatsapp_message_id = coalesce(r.whatsapp_message_id, news.message_id),
            provider = coalesce(r.provider, news.provider),
            sent_at = case when told <> 'failed' then coalesce(r.sent_at, news.at) else r.sent_at end,
            error_code = case when told = 'failed' then news.error_code end,
            status_at = news.at
        from (select message_id, provider, whatsapp_status.error_code, at) as news
        where r.reference = wanted
          and case
              when told = 'failed' then coalesce(r.status, 'unknown') not in ('delivered', 'read', 'failed')
              when r.status = 'failed' then told in ('delivered', 'read')
              else array_position(rank, told) > coalesce(array_position(rank, r.status), 0)
          end
        returning r.*
        into reply;
        if reply.id is null then
            return 'known already';
        end if;
    end if;

    if about.generation <> split_part(wanted, ':', 3)::integer then
        -- A message of which nobody knew; the conversation has it from now on.
        if told <> 'failed' and about.contact_id is not null then
            insert into public.messages (contact_id, direction, message_type, content, whatsapp_message_id, metadata)
            values (
                about.contact_id, 'outbound', 'text', reply.response_text, reply.whatsapp_message_id,
                jsonb_build_object('action_id', about.id, 'reference', wanted, 'made_by', reply.made_by)
            )
            on conflict do nothing;
        end if;
        return 'kept: of an earlier request';
    end if;
    -- Accepted, and then refused because the customer last wrote more than 24 hours ago: the approved template may still be
    -- sent. It is a request of its own, whose payload says that the window is closed.
    if about.reply_status in ('sent', 'unknown', 'failed') and rowcall.ask_approved_template(about.id) then
        return 'asked again with the approved template';
    end if;
    if about.reply_status = 'unknown'
        or (about.reply_status = 'sent' and told = 'failed')
        or (about.reply_status = 'failed' and told in ('delivered', 'read') and about.resolved_by is null)
        or (
            about.reply_status in ('pending', 'processing')
            -- What is sure not to have gone out goes on to be tried, whatever became of an earlier attempt.
            and (told <> 'failed' or about.claim_token is not null)
            and about.claimed_generation = about.generation
            and (
                about.claimed_until is null
                or about.claimed_until <= now()
                or about.claimed_by in (
                    select w.id
                    from rowcall.workers as w
                    where w.heartbeat_at <= now() - interval '15 seconds'
                )
            )
        )
    then
        perform rowcall.settle_action(
            about.id, told <> 'failed', case when told = 'failed' then failed_because end, null, null
        );
        return 'settled: ' || case when told = 'failed' then 'failed' else 'sent' end;
    end if;
    return 'kept';
end
$$;

-- Keeps an inbound message: its contact by telephone number, the message once, and when the customer last wrote.
create or replace function rowcall.whatsapp_inbound(
    provider text, phone text, message_id text, at timestamptz, message_type text, body text, profile_name text
) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    digits constant text := regexp_replace(whatsapp_inbound.phone, '[^0-9]', '', 'g');
    written_at constant timestamptz := least(coalesce(at, now()), now());
    found_id rowcall.contacts_key;
begin
    if digits is null or digits !~ '^[1-9][0-9]{6,14}$' or coalesce(message_id, '') = '' then
        return 'ignored: no sender or no message id';
    end if;
    -- One at a time a sender: a webhook that comes twice at once makes neither two contacts nor two messages.
    perform pg_advisory_xact_lock(hashtextextended('rowcall inbound ' || digits, 0));

    select c.id
    into found_id
    from public.contacts as c
    where regexp_replace(c.phone, '[^0-9]', '', 'g') = digits
    order by c.id
    limit 1;
    if found_id is null then
        insert into public.contacts (phone, name, last_inbound_at)
        values ('+' || digits, profile_name, written_at)
        returning id
        into found_id;
    else
        update public.contacts as c
        set last_inbound_at = greatest(c.last_inbound_at, written_at),
            name = coalesce(nullif(c.name, ''), profile_name),
            updated_at = now()
        where c.id = found_id
          and (c.last_inbound_at is null or c.last_inbound_at < written_at or coalesce(c.name, '') = '');
    end if;

    if exists (
        select
        from public.messages as m
        where m.whatsapp_message_id = message_id
          and m.direction = 'inbound'
    ) then
        return 'known already';
    end if;
    insert into public.messages (contact_id, direction, message_type, content, whatsapp_message_id, metadata, created_at)
    values (
        found_id, 'inbound', coalesce(whatsapp_inbound.message_type, 'text'), body, message_id,
        jsonb_build_object('provider', provider), written_at
    );
    return 'stored';
end
$$;
