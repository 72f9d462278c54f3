-- Writes outcomes back on their organizations, in one fenced statement, with history.
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
        g.id,
        g.claimed_by,
        g.requested_by,
        o.key,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.error,
        o.duration,
        o.uncertain,
        case
            when g.generation <> o.generation then 'superseded'
            when o.verdict = 'retry'
                and g.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'organizations'),
                    g.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else o.verdict
        end as settled_as
    from outcome as o
    join public.organizations as g on g.id = o.key::rowcall.organizations_key
    where g.claim_token = o.token
    order by g.id
    for no key update of g skip locked
),

written as (
    update public.organizations as g
    set status = case h.settled_as
            when 'done' then 'active'
            when 'failed' then rowcall.organization_before(g.metadata)
            when 'unknown' then 'unknown'
            else g.status
        end,
        synced_at = case h.settled_as when 'done' then now() else g.synced_at end,
        metadata = case
            when h.settled_as = 'done' then
                case jsonb_typeof(g.metadata) when 'object' then g.metadata else '{}' end
                - '{action_failed,action_error,failed_at}'::text[]
            when h.settled_as in ('failed', 'unknown') then
                case jsonb_typeof(g.metadata)
                    when 'object' then g.metadata
                    else jsonb_build_object('invalid_metadata', g.metadata)
                end
                || jsonb_build_object(
                    'action_failed', true,
                    'action_error', h.error,
                    'failed_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                )
            else g.metadata
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed', 'unknown') and h.duration is not null then g.attempts + 1
            else g.attempts
        end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else g.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then g.error_message
            else h.error
        end,
        -- A token that nobody holds tells the next claim that the effect is not known.
        claim_token = case when h.uncertain and h.settled_as <> 'done' then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then g.updated_at
            else now()
        end
    from held as h
    where g.id = h.id
    returning h.key, h.settled_as
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'organizations', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result, h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'organizations')
      and (h.duration is not null or h.settled_as <> 'wait')
),

-- The endpoint has said that it is gone for good, whatever becomes of this request.
gone as (
    insert into rowcall.gone_endpoints (queue, endpoint, host)
    select 'organizations', h.result ->> 'gone', coalesce(h.result ->> 'host', '')
    from held as h
    where h.result ->> 'gone' is not null
    on conflict do nothing
)

select w.key, w.settled_as
from written as w
union all
select o.key, 'lost'
from outcome as o
where not exists (select from held as h where h.key = o.key)
  and not exists (
      select
      from public.organizations as g
      where g.id = o.key::rowcall.organizations_key
        and g.claim_token = o.token
  )
