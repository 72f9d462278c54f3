-- Writes outcomes back on their checks, in one fenced statement, with history.
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
            when r.generation <> o.generation then 'superseded'
            when o.verdict = 'retry'
                and r.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'fienta_checks'),
                    r.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else o.verdict
        end as settled_as
    from outcome as o
    join public.fienta_checks as r on r.id = o.key::rowcall.fienta_checks_key
    where r.claim_token = o.token
    order by r.id
    for no key update of r skip locked
),

-- A code that was changed since the comparison began is no drift: the next check will see it.
drift as materialized (
    select
        h.id,
        jsonb_agg(d.entry order by d.nth) filter (where d.stands) as entries,
        count(*) filter (where not d.stands) as outdated
    from held as h
    cross join lateral (
        select
            e.entry,
            e.nth,
            not exists (
                select
                from public.codes as c
                where c.code = e.entry ->> 'code'
                  and (
                      c.updated_at > (h.result ->> 'as_of')::timestamptz
                      or c.status in ('creating', 'updating', 'deleting', 'renaming', 'unknown')
                  )
            ) as stands
        from jsonb_array_elements(h.result -> 'drift') with ordinality as e (entry, nth)
    ) as d
    where h.settled_as = 'done'
    group by h.id
),

written as (
    update public.fienta_checks as r
    set status = case
            when h.settled_as = 'done' then 'checked'
            when h.settled_as in ('failed', 'unknown') then 'failed'
            else r.status
        end,
        checked_at = case h.settled_as when 'done' then now() else r.checked_at end,
        listed = case h.settled_as when 'done' then (h.result ->> 'listed')::integer else r.listed end,
        compared = case h.settled_as when 'done' then (h.result ->> 'compared')::integer else r.compared end,
        usage = case h.settled_as when 'done' then h.result -> 'usage' else r.usage end,
        drift = case
            when h.settled_as = 'done' then coalesce((select d.entries from drift as d where d.id = r.id), '[]')
            else r.drift
        end,
        drift_count = case
            when h.settled_as = 'done'
                then (h.result ->> 'drift_count')::integer - coalesce((select d.outdated from drift as d where d.id = r.id), 0)::integer
            else r.drift_count
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
        -- A look has no effect, so none is in doubt.
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then r.updated_at
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
        'fienta_checks', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result - '{drift,usage}'::text[], h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'fienta_checks')
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
      from public.fienta_checks as r
      where r.id = o.key::rowcall.fienta_checks_key
        and r.claim_token = o.token
  )
