-- Writes outcomes back on their links, in one fenced statement, with history.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row that somebody holds locked: try again.
--
-- Promise: a slug is minted once for a link, and never again for another. Promise: only the token of the current claim is
-- accepted, and a request that changed meanwhile is not overwritten.
with outcome as materialized (
    select *
    from unnest(
        $1::text[], $2::integer[], $3::uuid[], $4::text[], $5::double precision[],
        $6::jsonb[], $7::text[], $8::double precision[], $9::boolean[], $10::integer[]
    ) as o (key, generation, token, verdict, delay, result, error, duration, uncertain, attempt)
),

held as materialized (
    select
        l.id,
        l.claimed_by,
        l.requested_by,
        l.slug,
        o.key,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.error,
        o.duration,
        case
            when l.generation <> o.generation then 'superseded'
            when o.verdict = 'retry'
                and l.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'links'),
                    l.max_attempts
                )
                then 'failed'
            -- A link is never unknown: nothing of it happens outside, so what is not on the row did not happen.
            when o.verdict = 'unknown' then 'failed'
            else o.verdict
        end as settled_as
    from outcome as o
    join public.links as l on l.id = o.key::rowcall.links_key
    where l.claim_token = o.token
    order by l.id
    for no key update of l skip locked
),

minted as materialized (
    select h.id, coalesce(h.slug, rowcall.mint_slug()) as slug
    from held as h
    where h.settled_as = 'done'
),

written as (
    update public.links as l
    set status = case h.settled_as when 'done' then 'active' when 'failed' then 'failed' else l.status end,
        slug = coalesce(m.slug, l.slug),
        short_url = coalesce((h.result ->> 'prefix') || m.slug, l.short_url),
        metadata = case h.settled_as
            when 'done' then
                case jsonb_typeof(l.metadata) when 'object' then l.metadata else '{}' end
                - '{action_failed,action_error,failed_at}'::text[]
                || jsonb_build_object(
                    'link_created_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                )
            when 'failed' then
                case jsonb_typeof(l.metadata)
                    when 'object' then l.metadata
                    else jsonb_build_object('invalid_metadata', l.metadata)
                end
                || jsonb_build_object(
                    'action_failed', true,
                    'action_error', h.error,
                    'failed_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                )
            else l.metadata
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed') and h.duration is not null then l.attempts + 1
            else l.attempts
        end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else l.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then l.error_message
            else h.error
        end,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then l.updated_at
            else now()
        end
    from held as h
    left join minted as m on m.id = h.id
    where l.id = h.id
    returning h.key, h.settled_as
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'links', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result, h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'links')
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
      from public.links as l
      where l.id = o.key::rowcall.links_key
        and l.claim_token = o.token
  )
