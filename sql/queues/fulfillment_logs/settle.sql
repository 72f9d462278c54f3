-- Writes outcomes of purchases and look-ups back on their rows, in one fenced statement, with history. A trigger shows the step on
-- the order, which is locked together with its row.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row or an order that somebody holds locked: try again.
--
-- Promise: only the token of the current claim is accepted, and a request that changed meanwhile is not overwritten; what was
-- bought for it is kept all the same, so that the next attempt looks it up instead of buying it. Promise: what the supplier
-- told while the operation ran counts too. It stands on the row, so it is read as it is when the row is locked.
-- Accepted is not delivered: such a row stays `processing` and keeps a token that nobody holds, as does every other of which
-- it is not known that nothing was bought.
with outcome as materialized (
    select *
    from unnest(
        $1::text[], $2::integer[], $3::uuid[], $4::text[], $5::double precision[],
        $6::jsonb[], $7::text[], $8::double precision[], $9::boolean[], $10::integer[]
    ) as o (key, generation, token, verdict, delay, result, error, duration, uncertain, attempt)
),

policy as materialized (
    select q.max_attempts, q.history
    from rowcall.queues as q
    where q.queue = 'fulfillment_logs'
),

held as materialized (
    select
        l.id,
        l.claimed_by,
        l.requested_by,
        l.status in ('pending', 'processing') or (l.status = 'failed' and l.retry_after is not null) as is_due,
        right(regexp_replace(l.phone_number, '[^0-9]', '', 'g'), 9) as number,
        o.key,
        o.verdict,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.duration,
        l.reported,
        t.told,
        o.verdict = 'wait' and o.result ->> 'state' = 'accepted' or t.told = 'pending' as is_accepted,
        o.uncertain and t.told is null as is_uncertain,
        case t.told when 'failed' then l.reported ->> 'words' when 'reversed' then l.reported ->> 'words'
            when 'taken_back' then l.reported ->> 'words' when 'delivered' then null else o.error end as error,
        case
            when l.generation <> o.generation then 'superseded'
            when v.verdict = 'retry'
                and l.attempt_number >= coalesce((select p.max_attempts from policy as p), l.max_attempts)
                then case when o.uncertain and t.told is null then 'unknown' else 'failed' end
            else v.verdict
        end as settled_as
    from outcome as o
    join public.fulfillment_logs as l on l.id = o.key::rowcall.fulfillment_logs_key
    join public.orders as r on r.id = l.order_id
    cross join lateral (
        select case
            when l.reported ->> 'provider_reference' <> coalesce(o.result ->> 'provider_reference', l.provider_reference) then null
            when l.reported ->> 'state' in ('delivered', 'taken_back') then l.reported ->> 'state'
            when o.verdict = 'done' then case when l.reported ->> 'state' = 'reversed' then 'taken_back' end
            -- The outcome leaves open how the order stands, and the report tells.
            when o.uncertain or o.verdict = 'unknown' or o.result ->> 'state' = 'accepted' then l.reported ->> 'state'
        end as told
    ) as t
    cross join lateral (
        select case t.told
            when 'delivered' then 'done'
            when 'taken_back' then 'failed'
            when 'failed' then 'retry'
            when 'reversed' then 'retry'
            when 'pending' then 'wait'
            else o.verdict
        end as verdict
    ) as v
    where l.claim_token = o.token
    order by l.id
    for no key update of l, r skip locked
),

written as (
    update public.fulfillment_logs as l
    set status = case h.settled_as
            when 'done' then 'success'
            when 'retry' then 'failed'
            when 'failed' then 'failed'
            when 'unknown' then 'unknown'
            when 'wait' then case
                when h.is_accepted or l.accepted_at is not null or h.is_uncertain then 'processing'
                else 'pending'
            end
            -- Nobody waits for it any more, and it was delivered.
            else case when h.verdict = 'done' and not h.is_due then 'success' else l.status end
        end,
        attempt_number = case
            when h.duration is null then least(l.attempt_number, coalesce((select p.max_attempts from policy as p), l.max_attempts))
            else l.attempt_number
        end,
        max_attempts = coalesce((select p.max_attempts from policy as p), l.max_attempts),
        retry_after = case
            when h.settled_as = 'retry' and h.told is not null then now() + rowcall.fulfillment_pause(l.attempt_number)
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            when h.settled_as = 'superseded' and h.is_due then l.retry_after
        end,
        fulfilled_at = case
            when h.settled_as = 'done' or (h.settled_as = 'superseded' and h.verdict = 'done' and not h.is_due) then now()
            when h.settled_as = 'superseded' then l.fulfilled_at
        end,
        api_response = coalesce(nullif(h.result -> 'response', 'null'), l.api_response),
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then l.error_message
            else h.error
        end,
        supplier = coalesce(h.result ->> 'supplier', l.supplier),
        reference = coalesce(h.result ->> 'reference', l.reference),
        provider_reference = case
            when w.is_over then null
            else coalesce(h.result ->> 'provider_reference', h.reported ->> 'provider_reference', l.provider_reference)
        end,
        accepted_at = case
            when w.is_over then null
            when h.is_accepted or (h.settled_as = 'superseded' and h.verdict = 'done') then coalesce(l.accepted_at, now())
            else l.accepted_at
        end,
        purchase = l.purchase + w.is_ended::integer,
        asked_as = case when w.is_ended then rowcall.purchase_reference(l.order_id::text, l.purchase + 1) else l.asked_as end,
        doubted_at = case when h.is_uncertain or h.settled_as = 'unknown' then coalesce(l.doubted_at, now()) end,
        looks = case
            when w.is_over then 0
            when h.is_accepted and l.accepted_at is not null and h.duration is not null then l.looks + 1
            else l.looks
        end,
        reported = null,
        held_back = false,
        claim_token = case
            when h.settled_as in ('done', 'failed') and not (h.settled_as = 'failed' and h.is_uncertain) then null
            when h.settled_as = 'unknown'
                or h.is_uncertain
                or h.is_accepted
                or (not w.is_over and l.accepted_at is not null)
                or (h.settled_as = 'superseded' and h.verdict = 'done' and h.is_due)
                then gen_random_uuid()
        end,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then l.updated_at
            else now()
        end
    from held as h
    -- The purchase came to nothing, and certainly so: the next one is another. Where the supplier had taken it, it goes by
    -- another reference; what was refused never was one.
    cross join lateral (
        select h.settled_as in ('retry', 'failed')
            and not h.is_uncertain
            and (h.told is not null or coalesce(h.result ->> 'state' in ('refused', 'failed', 'reversed'), false)) as is_over,
            h.settled_as in ('retry', 'failed')
            and not h.is_uncertain
            and (h.told is not null or coalesce(h.result ->> 'state' in ('failed', 'reversed'), false)) as is_ended
    ) as w
    where l.id = h.id
    returning h.key, h.id, h.number, h.settled_as, l.status
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'fulfillment_logs', h.key, h.generation, h.attempt, h.settled_as, h.error,
        case when h.told is null then h.result else coalesce(h.result, '{}') || jsonb_build_object('reported', h.told) end,
        h.claimed_by, h.requested_by, h.duration * interval '1 second'
    from held as h
    where (select p.history from policy as p)
      and (h.duration is not null or h.settled_as <> 'wait')
),

heard as (
    update rowcall.supplier_reports as r
    set applied_as = 'settled with the outcome'
    where r.applied_as is null
      and r.log_id = any (array(select h.id from held as h where h.reported is not null and h.settled_as <> 'superseded'))
),

-- Who is next of each number that is free again.
next_one as materialized (
    select n.id
    from (
        select distinct w.number
        from written as w
        where w.status <> 'processing'
          and w.number <> ''
    ) as c
    cross join lateral (
        select x.id
        from public.fulfillment_logs as x
        where right(regexp_replace(x.phone_number, '[^0-9]', '', 'g'), 9) = c.number
          and (x.status in ('pending', 'processing') or (x.status = 'failed' and x.retry_after is not null))
          and x.held_back
          and x.id <> all (array(select w.id from written as w))
        order by x.created_at, x.id
        limit 1
    ) as n
),

called as (
    update public.fulfillment_logs as l
    set retry_after = now(),
        held_back = false
    where l.id = any (array(
        select x.id
        from public.fulfillment_logs as x
        where x.id = any (array(select n.id from next_one as n))
          and x.held_back
        for no key update skip locked
    ))
),

rung as materialized (
    select pg_notify('rowcall', 'fulfillment_logs')
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
      from public.fulfillment_logs as l
      where l.id = o.key::rowcall.fulfillment_logs_key
        and l.claim_token = o.token
  )
