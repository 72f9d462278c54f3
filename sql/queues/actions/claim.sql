-- Takes up to $1 due actions for worker $2 under token $3 and leases them for $4 seconds, past the first $5 of them.
--
-- Promise: while the lease holds and the worker lives, no other caller receives the same row. Promise: one contact's
-- replies go out one at a time, in the order in which they were asked for, and not faster than the queue's key_interval
-- and key_burst, over all workers.
-- A row that still carries a token of this very request is `uncertain`: an attempt began and its end is not known. If a
-- worker lost it, that attempt is counted and written to history. A claim whose answer was lost on the way is repeated
-- under the same token, and returns the same rows, uncertain where they were: an uncertain row carries the token with a
-- mark (its version digit, 4, is e), and `token` is what settles it.
-- A worker that counts as dead gets nothing until it has a new name, and nobody gets anything of a paused queue. The time is that of the statement, not of the
-- transaction, which may have waited for the lock on the policy before it came here.
-- A row that refuses the claim's own write (a constraint or trigger of the users') is passed over with $5; then no row is
-- held back either, for that write may be the one that was refused.
--
-- Rows are looked at in the order in which they are due, only as many as it takes, a thousand at most. A row behind an
-- earlier one of its contact, or ahead of its contact's rate, is not left in the way of others: it is held back, each
-- a place further, so that ten thousand rows of one contact cost the next claims nothing. The settle statement calls the
-- next one of a contact forward, and what is missed there comes due by itself.
-- reply_status stays `pending` while it runs, so that the claim stays HOT; the bubble is what shows Processing.
with fence (own) as materialized (
    values ($3::uuid), (overlay($3::uuid::text placing 'e' from 15 for 1)::uuid)
),

asked (rows) as materialized (
    select case
        when exists (
            select
            from rowcall.workers as w
            where w.id = $2::uuid
              and w.heartbeat_at > statement_timestamp() - interval '15 seconds'
        )
        and not exists (select from rowcall.queues as q where q.queue = 'actions' and q.paused) then $1::bigint
        else 0
    end
),

policy as materialized (
    select q.max_attempts, q.key_interval as every, q.key_burst as burst
    from rowcall.queues as q
    where q.queue = 'actions'
),

dead as materialized (
    select w.id
    from rowcall.workers as w
    where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
),

seen as materialized (
    select
        d.id,
        d.contact_id,
        d.is_mine,
        t.turn,
        t.spent_until,
        p.every,
        row_number() over () as nth,
        case
            when d.is_mine or d.contact_id is null then null
            -- An earlier reply to the same contact is not finished. It calls the next one when it is, so there is little
            -- need to look again before it comes due; but it may be taken back, and then calls nobody.
            when e.next_retry_at is not null
                then greatest(
                    least(e.next_retry_at, statement_timestamp() + interval '1 minute'), statement_timestamp()
                ) + coalesce(p.every, interval '1 second')
            -- A later or taken back one is on its way.
            when exists (
                select
                from public.actions as o
                where o.id = t.action_id
                  and o.id <> d.id
                  and o.claim_token = t.token
                  and o.claimed_until > statement_timestamp()
                  and o.claimed_by not in (select w.id from dead as w)
            ) then statement_timestamp() + coalesce(p.every, interval '1 second')
            when t.spent_until > statement_timestamp() + (p.burst - 1) * p.every then t.spent_until - (p.burst - 1) * p.every
        end as held_until
    from (
        select
            a.id,
            a.contact_id,
            a.requested_at,
            coalesce(a.claim_token = any (array(select f.own from fence as f)), false) as is_mine
        from public.actions as a
        where a.reply_status in ('pending', 'processing')
          and a.next_retry_at <= statement_timestamp()
          and (
              a.claimed_until is null
              or a.claimed_until <= statement_timestamp()
              or a.claim_token = any (array(select f.own from fence as f))
              or a.claimed_by in (select w.id from dead as w)
          )
        order by a.next_retry_at, a.id
        limit 1000
    ) as d
    cross join policy as p
    left join lateral (
        select o.next_retry_at
        from public.actions as o
        where o.contact_id = d.contact_id
          and o.reply_status in ('pending', 'processing')
          and (o.requested_at, o.id) < (d.requested_at, d.id)
        order by o.requested_at, o.id
        limit 1
    ) as e on true
    left join lateral (
        select c.turn, c.spent_until, c.action_id, c.token
        from rowcall.contact_turns as c
        where c.contact_id = d.contact_id
        limit 1
    ) as t on true
),

due as materialized (
    select s.nth, s.contact_id, s.is_mine, s.turn, s.spent_until, s.every, a.*
    from seen as s
    cross join lateral (
        select
            a.id,
            coalesce(a.claim_token <> $3::uuid and coalesce(a.claimed_generation, a.generation) = a.generation, false)
                as uncertain,
            case when a.claim_token <> all (array(select f.own from fence as f)) then a.claimed_by end as lost_by,
            coalesce(a.claimed_generation, a.generation) as lost_generation
        from public.actions as a
        where a.id = s.id
          and a.reply_status in ('pending', 'processing')
          and a.next_retry_at <= statement_timestamp()
          and (
              a.claimed_until is null
              or a.claimed_until <= statement_timestamp()
              or a.claim_token = any (array(select f.own from fence as f))
              or a.claimed_by in (select w.id from dead as w)
          )
        for no key update skip locked
    ) as a
    where s.held_until is null
    limit (select k.rows from asked as k)
    offset $5::bigint
),

-- Reserves the contact's turn and a place in its rate. Whoever was faster has moved the turn on; then this row is not ours.
turned as (
    insert into rowcall.contact_turns as t (contact_id, turn, spent_until, action_id, token)
    select distinct on (d.contact_id)
        d.contact_id,
        coalesce(d.turn, 0) + 1,
        greatest(coalesce(d.spent_until, statement_timestamp()), statement_timestamp()) + coalesce(d.every, interval '0'),
        d.id,
        case when d.uncertain then (select f.own from fence as f where f.own <> $3::uuid) else $3::uuid end
    from due as d
    where d.contact_id is not null
      and not d.is_mine
    order by d.contact_id, d.nth
    on conflict (contact_id) do update
    set turn = excluded.turn,
        spent_until = excluded.spent_until,
        action_id = excluded.action_id,
        token = excluded.token
    where t.turn = excluded.turn - 1
    returning t.action_id
),

claimed as (
    update public.actions as a
    set claim_token = case
            when a.id = any (array(select d.id from due as d where d.uncertain))
                then (select f.own from fence as f where f.own <> $3::uuid)
            else $3::uuid
        end,
        claimed_by = $2::uuid,
        claimed_until = statement_timestamp() + $4::double precision * interval '1 second',
        claimed_generation = a.generation,
        attempts = case
            when a.id = any (array(select d.id from due as d where d.lost_by is not null and d.lost_generation = a.generation))
                then a.attempts + 1
            else a.attempts
        end
    where a.id = any (array(
        select t.action_id
        from turned as t
        union all
        select d.id
        from due as d
        where d.is_mine
           or d.contact_id is null
    ))
    returning
        a.id, a.generation, a.attempts, a.max_attempts, a.next_retry_at, a.requested_by, a.status, a.reply_status,
        a.contact_id, a.chatbot_id, a.action_type, a.user_response, a.details, a.claim_token
),

-- What was due and could not be taken makes room, unless enough was found without looking far.
in_the_way as materialized (
    select a.id, s.held_until + (row_number() over (partition by s.contact_id order by s.nth) - 1) * coalesce(s.every, interval '0')
        as held_until
    from seen as s
    cross join lateral (
        select a.id
        from public.actions as a
        where a.id = s.id
          and a.reply_status in ('pending', 'processing')
          and a.next_retry_at <= statement_timestamp()
        for no key update skip locked
    ) as a
    where s.held_until is not null
      and $5::bigint = 0
      and (select count(d.id) < max(k.rows) or max(d.nth) > 2 * max(k.rows) + 50 from asked as k left join due as d on true)
),

held_back as (
    update public.actions as a
    set next_retry_at = w.held_until,
        held_back = true
    from in_the_way as w
    where a.id = w.id
    returning a.id
),

-- Room was made and less was found than asked for: there may be more behind what was looked at.
again as materialized (
    select pg_notify('rowcall', 'actions')
    where (select count(*) from held_back) > 0
      and (select count(*) from seen) >= 1000
),

lost as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'actions',
        a.id::text,
        d.lost_generation,
        case when d.lost_generation = a.generation then a.attempts else 1 end,
        'lost',
        'the worker died, or its lease ended, before an outcome was written',
        d.lost_by,
        a.requested_by
    from due as d
    join claimed as a on a.id = d.id
    where d.lost_by is not null
),

-- The bubble follows, unless WhatsApp is away and the row is only told so. One that somebody holds locked is left to the sweep.
free_bubble as materialized (
    select m.id, m.metadata ->> 'action_id' as key
    from public.messages as m
    where m.message_type = 'action_indicator'
      and m.metadata ->> 'action_id' = any (array(select a.id::text from claimed as a))
      and not exists (
          select
          from rowcall.queues as q
          join rowcall.targets as t on t.target = q.target
          where q.queue = 'actions'
            and t.state = 'open'
      )
    for no key update skip locked
),

bubble as (
    update public.messages as m
    set metadata = coalesce(m.metadata, '{}')
            || rowcall.bubble(a.id::text, a.status, a.reply_status, a.generation, true, null),
        updated_at = statement_timestamp()
    from free_bubble as f
    join claimed as a on a.id::text = f.key
    where m.id = f.id
      and m.id = any (array(select b.id from free_bubble as b))
),

new_bubble as (
    insert into public.messages (contact_id, direction, message_type, content, metadata)
    select
        a.contact_id,
        'internal',
        'action_indicator',
        replace(a.action_type, '_', ' '),
        jsonb_build_object('action_type', a.action_type, 'made_by', 'rowcall')
            || rowcall.bubble(a.id::text, a.status, a.reply_status, a.generation, true, null)
    from claimed as a
    where a.contact_id is not null
      and a.id::text <> all (array(
          select m.metadata ->> 'action_id'
          from public.messages as m
          where m.message_type = 'action_indicator'
            and m.metadata ->> 'action_id' = any (array(select o.id::text from claimed as o))
      ))
    -- The sweep of another worker may make it at the same moment.
    on conflict do nothing
),

told as (
    insert into public.messages (contact_id, direction, message_type, content, metadata)
    select
        a.contact_id,
        'internal',
        'action_status_update',
        format('%s: %s', replace(a.action_type, '_', ' '), rowcall.action_state(a.status, null, false)),
        rowcall.bubble(a.id::text, a.status, a.reply_status, a.generation, false, null)
            || jsonb_build_object('reference', format('actions:%s:%s', a.id, a.generation))
    from claimed as a
    where a.contact_id is not null
    on conflict do nothing
)

select
    a.id::text as key,
    a.generation,
    a.attempts + 1 as attempt,
    coalesce((select p.max_attempts from policy as p), a.max_attempts) as max_attempts,
    a.claim_token <> $3::uuid as uncertain,
    'reply' as operation,
    jsonb_build_object(
        'action_id', a.id,
        'action_type', a.action_type,
        'outcome', a.status,
        'user_response', a.user_response,
        'details', a.details
    ) || rowcall.compose_reply(a.id, a.action_type, a.status, a.user_response, a.details, a.contact_id) as payload,
    a.claim_token as token
from claimed as a
where (select count(*) from again) >= 0
order by a.next_retry_at, a.id
