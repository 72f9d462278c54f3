-- Writes outcomes back on their actions, in one fenced statement: the reply that was sent, the conversation's messages, the
-- action's bubble, and history.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row that somebody holds locked: try again.
--
-- Promise: only the token of the current claim is accepted, and a request that changed meanwhile is not overwritten; a
-- message that went out is recorded all the same. What a status webhook has told already counts as known.
with outcome as materialized (
    select *
    from unnest(
        $1::text[], $2::integer[], $3::uuid[], $4::text[], $5::double precision[],
        $6::jsonb[], $7::text[], $8::double precision[], $9::boolean[], $10::integer[]
    ) as o (key, generation, token, verdict, delay, result, error, duration, uncertain, attempt)
),

held as materialized (
    select
        a.id,
        a.contact_id,
        a.claimed_by,
        a.requested_by,
        o.key,
        o.token,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.duration,
        o.uncertain,
        o.verdict,
        o.verdict = 'done' or heard.is_sent as is_sent,
        format('actions:%s:%s', a.id, o.generation) as reference,
        case
            when heard.is_sent then null
            when heard.is_failed then coalesce(o.error, 'WhatsApp took the message and could not deliver it')
            else o.error
        end as error,
        case
            when a.generation <> o.generation then 'superseded'
            when heard.is_sent then 'done'
            when heard.is_failed and (o.uncertain or o.verdict in ('done', 'unknown')) then 'failed'
            when o.verdict = 'retry'
                and a.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'actions'),
                    a.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else o.verdict
        end as settled_as
    from outcome as o
    join public.actions as a on a.id = o.key::rowcall.actions_key
    cross join lateral (
        select
            coalesce(bool_or(r.status in ('sent', 'delivered', 'read')), false) as is_sent,
            coalesce(bool_or(r.status = 'failed'), false) as is_failed
        from public.action_responses as r
        where r.reference = format('actions:%s:%s', a.id, o.generation)
    ) as heard
    where a.claim_token = o.token
    order by a.id
    for no key update of a skip locked
),

written as (
    update public.actions as a
    set reply_status = case h.settled_as
            when 'done' then 'sent'
            when 'failed' then 'failed'
            when 'unknown' then 'unknown'
            else a.reply_status
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed', 'unknown') and h.duration is not null then a.attempts + 1
            else a.attempts
        end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else a.next_retry_at
        end,
        held_back = false,
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then a.error_message
            else h.error
        end,
        -- A token that nobody holds tells the next claim that the effect is not known.
        claim_token = case when h.uncertain and h.settled_as not in ('done', 'superseded') then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then a.updated_at
            else now()
        end
    from held as h
    where a.id = h.id
    returning
        h.key, h.settled_as, h.error, h.reference, a.id, a.contact_id, a.chatbot_id, a.action_type, a.status, a.reply_status,
        a.generation, a.error_message
),

-- What surely did not go out takes no place in the contact's rate.
given_back as (
    update rowcall.contact_turns as t
    set spent_until = t.spent_until - q.key_interval
    from held as h
    cross join rowcall.queues as q
    where q.queue = 'actions'
      and q.key_interval is not null
      and h.settled_as = 'wait'
      and not h.uncertain
      and t.contact_id = h.contact_id
      and t.action_id = h.id
      and t.token = h.token
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    -- What was told the customer stands on action_responses, not in history.
    select
        'actions', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result - 'text', h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'actions')
      and (h.duration is not null or h.settled_as <> 'wait')
),

-- What was sent, or may have been. A status webhook that was faster has made the row; it keeps the status that it told.
response as (
    insert into public.action_responses as r (
        action_id, response_text, sent_at, whatsapp_message_id, status, provider, made_by, generation, reference
    )
    select
        h.id,
        coalesce(h.result ->> 'text', ''),
        case when h.is_sent then now() end,
        h.result ->> 'message_id',
        case when h.is_sent then 'sent' when h.settled_as = 'failed' then 'failed' else 'unknown' end,
        h.result ->> 'provider',
        h.result ->> 'made_by',
        h.generation,
        h.reference
    from held as h
    where h.is_sent
       or 'unknown' in (h.settled_as, h.verdict)
       or (h.settled_as = 'failed' and h.result ? 'text')
    on conflict (reference) do update
    set response_text = coalesce(nullif(excluded.response_text, ''), r.response_text),
        sent_at = coalesce(r.sent_at, excluded.sent_at),
        whatsapp_message_id = coalesce(excluded.whatsapp_message_id, r.whatsapp_message_id),
        status = case
            when r.status in ('sent', 'delivered', 'read', 'failed') and excluded.status in ('sent', 'unknown') then r.status
            else excluded.status
        end,
        provider = coalesce(excluded.provider, r.provider),
        made_by = coalesce(excluded.made_by, r.made_by)
),

outbound as (
    insert into public.messages (contact_id, direction, message_type, content, whatsapp_message_id, metadata)
    select
        h.contact_id,
        'outbound',
        case when h.result ->> 'made_by' = 'approved_template' then 'template' else 'text' end,
        coalesce(h.result ->> 'text', ''),
        h.result ->> 'message_id',
        jsonb_build_object('action_id', h.id, 'reference', h.reference, 'made_by', h.result -> 'made_by')
    from held as h
    where h.is_sent
      and h.contact_id is not null
    on conflict do nothing
),

told as (
    insert into public.messages (contact_id, direction, message_type, content, metadata)
    select
        w.contact_id,
        'internal',
        'action_status_update',
        format(
            '%s: %s', replace(w.action_type, '_', ' '),
            concat_ws(', ', rowcall.action_state(w.status, w.reply_status, false), w.error_message)
        ),
        rowcall.bubble(w.key, w.status, w.reply_status, w.generation, false, w.error_message)
            || jsonb_build_object('reference', w.reference)
    from written as w
    where w.settled_as in ('done', 'failed', 'unknown')
      and w.contact_id is not null
    on conflict do nothing
),

-- The bubble follows. One that somebody holds locked is left to the sweep.
free_bubble as materialized (
    select m.id, s.shown
    from written as w
    cross join lateral (
        select rowcall.bubble(w.key, w.status, w.reply_status, w.generation, false, w.error_message) as shown
    ) as s
    join public.messages as m on m.metadata ->> 'action_id' = w.key
    where m.message_type = 'action_indicator'
      and not coalesce(m.metadata, '{}') @> s.shown
    for no key update of m skip locked
),

bubble as (
    update public.messages as m
    set metadata = coalesce(m.metadata, '{}') || f.shown,
        updated_at = now()
    from free_bubble as f
    where m.id = f.id
      and m.id = any (array(select b.id from free_bubble as b))
),

-- Who is next of each contact that is free again.
next_one as materialized (
    select n.id
    from (
        select distinct w.contact_id
        from written as w
        where w.settled_as not in ('retry', 'wait')
          and w.contact_id is not null
    ) as c
    cross join lateral (
        select o.id
        from public.actions as o
        where o.contact_id = c.contact_id
          and o.reply_status in ('pending', 'processing')
          and o.id <> all (array(select w.id from written as w where w.settled_as <> 'superseded'))
        order by o.requested_at, o.id
        limit 1
    ) as n
),

called as (
    update public.actions as a
    set next_retry_at = now(),
        held_back = false
    where a.held_back
      and a.id = any (array(
          select o.id
          from public.actions as o
          where o.id = any (array(select n.id from next_one as n))
            and o.id <> all (array(select w.id from written as w))
          for no key update skip locked
      ))
),

rung as materialized (
    select pg_notify('rowcall', 'actions')
    where exists (select from next_one)
)

select w.key, w.settled_as
from written as w
where (select count(*) from rung) >= 0
union all
select o.key, 'lost'
from outcome as o
where not exists (select from held as h where h.key = o.key)
  and not exists (
      select
      from public.actions as a
      where a.id = o.key::rowcall.actions_key
        and a.claim_token = o.token
  )
