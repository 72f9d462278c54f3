-- Writes outcomes back on their orders, in one fenced statement: what the CRM says of each goes through the rule, which
-- enrolls, upgrades or records; and history, without what names people.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row that somebody holds locked: try again.
--
-- Promise: only the token of the current claim is accepted. A webhook that came while the order was read has asked for it
-- anew: what was read is superseded, and it is read once more.
with outcome as materialized (
    select *
    from unnest(
        $1::text[], $2::integer[], $3::uuid[], $4::text[], $5::double precision[],
        $6::jsonb[], $7::text[], $8::double precision[], $9::boolean[], $10::integer[]
    ) as o (key, generation, token, verdict, delay, result, error, duration, uncertain, attempt)
),

held as materialized (
    select
        q.id,
        q.client_id,
        q.claimed_by,
        q.requested_by,
        o.key,
        o.attempt,
        o.generation,
        v.verdict,
        v.delay,
        o.result,
        case
            when not f.is_own then o.error
            else concat(o.error, ' Others came through since it last met this, so the fault is counted as its own.')
        end as error,
        o.duration,
        o.uncertain,
        case
            when q.generation <> o.generation then 'superseded'
            when v.verdict = 'retry'
                and q.attempts + 1 >= coalesce(
                    (select p.max_attempts from rowcall.queues as p where p.queue = 'crm_orders'),
                    q.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else v.verdict
        end as settled_as
    from outcome as o
    join public.crm_orders as q on q.id = o.key::rowcall.crm_orders_key
    left join rowcall.crm_accounts as a on a.client_id = q.client_id
    -- What every row of the account would meet spends no attempt, unless it is this one only that meets it: then it has the
    -- delays of a row's own fault, so that a CRM which answers some for a while ends none.
    cross join lateral (
        select coalesce(
            o.verdict = 'wait'
                and o.duration is not null
                and o.result ->> 'opens_breaker' = 'true'
                and q.last_attempt_at < a.came_through_at,
            false
        ) as is_own
    ) as f
    cross join lateral (
        select
            case when f.is_own then 'retry' else o.verdict end as verdict,
            case
                when f.is_own then greatest(
                    o.delay,
                    (
                        select extract(epoch from p.retry_delays[least(q.attempts + 1, cardinality(p.retry_delays))])
                        from rowcall.queues as p
                        where p.queue = 'crm_orders'
                    )::double precision
                )
                else o.delay
            end as delay
    ) as v
    where q.claim_token = o.token
    order by q.id
    for no key update of q skip locked
),

written as (
    update public.crm_orders as q
    set status = case
            when h.settled_as = 'done' then 'known'
            when h.settled_as in ('failed', 'unknown') then 'failed'
            when q.status = 'fetching' then 'asked'
            else q.status
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed', 'unknown') and h.duration is not null then q.attempts + 1
            else q.attempts
        end,
        last_attempt_at = case when h.duration is null then q.last_attempt_at else now() end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else q.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' then null
            when h.settled_as = 'superseded' then q.error_message
            else h.error
        end,
        -- Reading changes nothing, so there is never a doubt to keep.
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then q.updated_at
            else now()
        end
    from held as h
    where q.id = h.id
    returning h.key, h.settled_as, h.client_id, q.id, h.result -> 'notice' as notice
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'crm_orders', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result - 'notice', h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'crm_orders')
      and (h.duration is not null or h.settled_as <> 'wait')
),

-- What the order says, and what follows from it, by the rule in sql/functions/crm_orders.sql.
ruled as materialized (
    select w.key, rowcall.settle_crm_order(w.client_id, w.notice) as decision
    from (
        select w.*
        from written as w
        where w.settled_as = 'done'
        order by w.client_id, w.id
    ) as w
),

-- The account: calls that were reserved and not made are given back; where it asked for patience, all its rows wait.
news as materialized (
    select
        a.target,
        sum(
            case
                when h.duration is null then rowcall.crm_calls('fetch_order')
                else greatest(rowcall.crm_calls('fetch_order') - (h.result ->> 'calls')::integer, 0)
            end
        ) as unspent,
        min(h.delay) filter (where h.verdict = 'wait' and h.duration is not null) as rest,
        bool_or(h.verdict = 'done' and coalesce((h.result ->> 'calls')::integer, 1) > 0) as came_through
    from held as h
    join rowcall.crm_accounts as a on a.client_id = h.client_id
    group by a.target
),

account as materialized (
    select
        t.target,
        n.came_through,
        n.unspent * coalesce(interval '1 minute' / t.calls_per_minute, interval '0') as unspent,
        -- Behind an open breaker the next probe is what they wait for.
        case
            when t.state = 'closed' and n.rest > 0 then now() + n.rest * interval '1 second'
                + (t.calls_burst - 1) * coalesce(interval '1 minute' / t.calls_per_minute, interval '0')
        end as rest_until
    from rowcall.targets as t
    join news as n on n.target = t.target
    order by t.target
    for no key update of t skip locked
),

told as (
    update rowcall.targets as t
    set spent_until = greatest(t.spent_until - a.unspent, a.rest_until),
        came_through_at = case when a.came_through then now() else t.came_through_at end
    from account as a
    where t.target = a.target
      and (a.rest_until is not null or a.unspent > interval '0' or a.came_through)
)

select w.key, w.settled_as
from written as w
where (select count(r.decision) from ruled as r) >= 0
union all
select o.key, 'lost'
from outcome as o
where not exists (select from held as h where h.key = o.key)
  and not exists (
      select
      from public.crm_orders as q
      where q.id = o.key::rowcall.crm_orders_key
        and q.claim_token = o.token
  )
