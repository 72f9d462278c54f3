-- Writes outcomes back on their orders, in one fenced statement, with history.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row that somebody holds locked: try again.
--
-- Promise: only the token of the current claim is accepted, and a request that changed meanwhile is not overwritten.
with outcome as materialized (
    select *
    from unnest(
        $1::text[], $2::integer[], $3::uuid[], $4::text[], $5::double precision[],
        $6::jsonb[], $7::text[], $8::double precision[], $9::boolean[], $10::integer[]
    ) as o (key, generation, token, verdict, delay, result, error, duration, uncertain, attempt)
),

held as materialized (
    select
        r.id,
        r.claimed_by,
        r.requested_by,
        o.key,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.error,
        o.duration,
        o.uncertain,
        case
            when r.generation <> o.generation
                and o.verdict = 'done'
                and r.status = 'updating'
                and jsonb_typeof(r.metadata) = 'object'
                then o.result -> 'in_effect' ->> 'new_status'
        end as reached_status,
        case
            when r.generation <> o.generation then 'superseded'
            when o.verdict = 'retry'
                and r.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'orders'),
                    r.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else o.verdict
        end as settled_as
    from outcome as o
    join public.orders as r on r.id = o.key::rowcall.orders_key
    where r.claim_token = o.token
    order by r.id
    for no key update of r skip locked
),

written as (
    update public.orders as r
    set status = case h.settled_as
            when 'done' then coalesce(r.metadata ->> 'new_status', rowcall.order_before(r.metadata))
            when 'failed' then rowcall.order_before(r.metadata)
            when 'unknown' then 'unknown'
            else r.status
        end,
        metadata = case
            when h.settled_as = 'done' then rowcall.updated_order(r.metadata)
            when h.settled_as in ('failed', 'unknown') then
                case
                    when jsonb_typeof(r.metadata) = 'object'
                        then case h.settled_as when 'failed' then rowcall.failed_order(r.metadata) else r.metadata end
                    else jsonb_strip_nulls(jsonb_build_object('invalid_metadata', r.metadata))
                end
                || jsonb_build_object(
                    'action_failed', true,
                    'action_error', h.error,
                    'failed_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                )
            -- It took effect all the same: that is where the order stands now, should the newest request not change it.
            when h.reached_status is not null then r.metadata || jsonb_build_object(
                'reached_status', h.reached_status,
                'updated_in_fienta_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            )
            else r.metadata
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed', 'unknown') and h.duration is not null then r.attempts + 1
            else r.attempts
        end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else r.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then r.error_message
            else h.error
        end,
        -- A token that nobody holds tells the next claim that the effect is not known.
        claim_token = case when h.uncertain and h.settled_as <> 'done' then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when (h.settled_as = 'superseded' and h.reached_status is null) or (h.settled_as = 'wait' and h.duration is null) then r.updated_at
            else now()
        end
    from held as h
    where r.id = h.id
    returning h.key, h.settled_as
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'orders', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result, h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'orders')
      and (h.duration is not null or h.settled_as <> 'wait')
)

select w.key, w.settled_as
from written as w
union all
select o.key, 'lost'
from outcome as o
where not exists (select from held as h where h.key = o.key)
  and not exists (
      select
      from public.orders as r
      where r.id = o.key::rowcall.orders_key
        and r.claim_token = o.token
  )
