-- Writes outcomes back on their codes, in one fenced statement, with history.
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
        c.id,
        c.claimed_by,
        c.requested_by,
        c.status as asked,
        o.key,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.error,
        o.duration,
        o.uncertain,
        -- What was done although the row asks for something else by now.
        case
            when c.generation <> o.generation
                and o.verdict = 'done'
                and c.status in ('creating', 'updating', 'deleting', 'renaming')
                and jsonb_typeof(c.metadata) = 'object'
                and o.result -> 'in_effect' ->> 'code' = c.code
                then o.result -> 'in_effect'
        end as in_effect,
        case
            when c.generation <> o.generation then 'superseded'
            when o.verdict = 'retry'
                and c.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'codes'),
                    c.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else o.verdict
        end as settled_as
    from outcome as o
    join public.codes as c on c.id = o.key::rowcall.codes_key
    where c.claim_token = o.token
    order by c.id
    for no key update of c skip locked
),

written as (
    update public.codes as c
    set status = case
            when h.settled_as = 'done' and c.status in ('creating', 'updating') then 'active'
            when h.settled_as = 'done' and c.status in ('deleting', 'renaming') then 'deleted'
            when h.settled_as = 'failed' and c.status = 'creating' then 'failed'
            when h.settled_as = 'failed' then case
                when c.metadata ->> 'previous_status' in ('creating', 'updating', 'deleting', 'renaming') then 'active'
                else coalesce(c.metadata ->> 'previous_status', 'active')
            end
            when h.settled_as = 'unknown' then 'unknown'
            else c.status
        end,
        metadata = case
            when h.settled_as = 'done' then
                (
                    case jsonb_typeof(c.metadata) when 'object' then c.metadata else '{}' end
                    - case c.status
                        when 'updating' then
                            '{action_failed,action_error,failed_at,new_discount_percent,new_discount_amount,new_max_uses,new_expires_at,new_description}'
                            || rowcall.replaced_discount(c.metadata -> 'new_discount_percent', c.metadata -> 'new_discount_amount')
                        when 'creating' then '{action_failed,action_error,failed_at,deleted_in_fienta_at,renamed_to}'
                        else '{action_failed,action_error,failed_at}'
                    end::text[]
                )
                || coalesce(h.result -> 'metadata', '{}')
                || case c.status
                    when 'creating' then jsonb_build_object(
                        'created_in_fienta_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    )
                    when 'updating' then jsonb_strip_nulls(jsonb_build_object(
                        'discount_percent', c.metadata -> 'new_discount_percent',
                        'discount_amount', c.metadata -> 'new_discount_amount',
                        'max_uses', c.metadata -> 'new_max_uses',
                        'expires_at', c.metadata -> 'new_expires_at',
                        'description', c.metadata -> 'new_description',
                        'updated_in_fienta_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    ))
                    when 'renaming' then jsonb_build_object(
                        'renamed_to', c.metadata -> 'new_code',
                        'deleted_in_fienta_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    )
                    else jsonb_build_object(
                        'deleted_in_fienta_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    )
                end
            when h.settled_as in ('failed', 'unknown') then
                case jsonb_typeof(c.metadata)
                    when 'object' then c.metadata
                    else jsonb_build_object('invalid_metadata', c.metadata)
                end
                || jsonb_build_object(
                    'action_failed', true,
                    'action_error', h.error,
                    'failed_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                )
            when h.in_effect is not null
                then c.metadata
                    - rowcall.replaced_discount(
                        h.in_effect #> '{terms,discount_percent}', h.in_effect #> '{terms,discount_amount}'
                    )
                    || coalesce(h.result -> 'metadata', '{}')
                    || rowcall.superseded_code(h.in_effect)
            else c.metadata
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed', 'unknown') and h.duration is not null then c.attempts + 1
            else c.attempts
        end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else c.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then c.error_message
            else h.error
        end,
        -- A token that nobody holds tells the next claim that the effect is not known.
        claim_token = case when h.uncertain and h.settled_as <> 'done' then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when (h.settled_as = 'superseded' and h.in_effect is null) or (h.settled_as = 'wait' and h.duration is null) then c.updated_at
            else now()
        end
    from held as h
    where c.id = h.id
    returning
        h.key,
        h.settled_as,
        case
            when h.settled_as = 'done' and h.asked = 'renaming'
                then rowcall.put_renamed_code(c.id, c.metadata ->> 'renamed_to', c.metadata)
            when h.in_effect ->> 'action' = 'rename'
                then rowcall.put_renamed_code(c.id, h.in_effect ->> 'new_code', rowcall.set_aside(c.metadata, 'x') - 'x')
        end as renamed
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'codes', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result, h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'codes')
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
      from public.codes as c
      where c.id = o.key::rowcall.codes_key
        and c.claim_token = o.token
  )
