-- Writes outcomes back on their rows, in one fenced statement: what was learned of customer and membership, how the account
-- stands, and history.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row that somebody holds locked: try again.
--
-- Promise: only the token of the current claim is accepted, and a request that changed meanwhile is not overwritten.
-- The four statuses are the documented ones. A row that failed and keeps a token has an effect that nobody knows; it is
-- verified before it is repeated.
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
        q.customer_id,
        q.customer_crm_id,
        q.enrollment_id,
        q.action_type,
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
                    (select p.max_attempts from rowcall.queues as p where p.queue = 'crm_sync_queue'),
                    q.max_attempts
                )
                then case when o.uncertain then 'unknown' else 'failed' end
            else v.verdict
        end as settled_as
    from outcome as o
    join public.crm_sync_queue as q on q.id = o.key::rowcall.crm_sync_queue_key
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
                        where p.queue = 'crm_sync_queue'
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
    update public.crm_sync_queue as q
    set status = case
            when h.settled_as = 'done' then 'completed'
            when h.settled_as in ('failed', 'unknown') then 'failed'
            when q.status = 'processing' then 'pending'
            else q.status
        end,
        attempts = case
            when h.settled_as in ('retry', 'failed', 'unknown') and h.duration is not null then q.attempts + 1
            else q.attempts
        end,
        last_attempt_at = case when h.duration is null then q.last_attempt_at else now() end,
        completed_at = case when h.settled_as = 'done' then now() else q.completed_at end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else q.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' then h.result ->> 'unwanted'
            when h.settled_as = 'superseded' then q.error_message
            else h.error
        end,
        steps = case
            when h.settled_as = 'superseded' then q.steps
            else coalesce(h.result -> 'steps', q.steps)
        end,
        customer_crm_id = case
            when h.settled_as = 'superseded' then q.customer_crm_id
            else coalesce(h.result ->> 'crm_customer_id', q.customer_crm_id)
        end,
        crm_membership_id = case
            when h.settled_as = 'superseded' then q.crm_membership_id
            else coalesce(h.result ->> 'crm_membership_id', q.crm_membership_id)
        end,
        -- A token that nobody holds tells the next claim that the effect is not known.
        claim_token = case when h.uncertain and h.settled_as <> 'done' then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then q.updated_at
            else now()
        end
    from held as h
    where q.id = h.id
    returning h.key, h.settled_as, q.id, q.client_id, q.customer_id, h.customer_crm_id
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    select
        'crm_sync_queue', h.key, h.generation, h.attempt, h.settled_as, h.error, h.result, h.claimed_by, h.requested_by,
        h.duration * interval '1 second'
    from held as h
    where (select q.history from rowcall.queues as q where q.queue = 'crm_sync_queue')
      and (h.duration is not null or h.settled_as <> 'wait')
),

-- What was learned. Rows that somebody holds locked keep nobody waiting: the next operation learns it again.
learned as materialized (
    select
        h.customer_id,
        h.result ->> 'crm_customer_id' as crm_customer_id,
        -- Of an upgrade that only left the old tier, nothing is learned of the new one.
        case
            when coalesce(h.result ->> 'operation', h.action_type) <> 'cancel_membership' then h.enrollment_id
        end as enrollment_id,
        h.result ->> 'crm_membership_id' as crm_membership_id
    from held as h
    where h.settled_as <> 'superseded'
),

free_customer as materialized (
    select u.id
    from public.customers as u
    where u.id = any (array(select l.customer_id from learned as l where l.crm_customer_id is not null))
    order by u.id
    for no key update skip locked
),

customer as (
    update public.customers as u
    set crm_customer_id = l.crm_customer_id,
        updated_at = now()
    from learned as l
    where u.id = l.customer_id
      and u.id = any (array(select f.id from free_customer as f))
      and u.crm_customer_id is distinct from l.crm_customer_id
      and l.crm_customer_id is not null
),

free_enrollment as materialized (
    select e.id
    from public.enrollments as e
    where e.id = any (array(select l.enrollment_id from learned as l where l.crm_membership_id is not null))
    order by e.id
    for no key update skip locked
),

enrollment as (
    update public.enrollments as e
    set crm_membership_id = l.crm_membership_id
    from learned as l
    where e.id = l.enrollment_id
      and e.id = any (array(select f.id from free_enrollment as f))
      and e.crm_membership_id is distinct from l.crm_membership_id
      and l.crm_membership_id is not null
),

-- The account: calls that were reserved and not made are given back; where it asked for patience, all its rows wait.
news as materialized (
    select
        a.target,
        sum(
            case
                when h.duration is null then rowcall.crm_calls(h.action_type)
                else greatest(rowcall.crm_calls(h.action_type) - (h.result ->> 'calls')::integer, 0)
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
),

-- Whoever is next of a customer that is free again.
rung as materialized (
    select pg_notify('rowcall', 'crm_sync_queue')
    where exists (
        select
        from written as w
        cross join lateral (
            select o.id
            from public.crm_sync_queue as o
            where o.customer_id = w.customer_id
              and o.status in ('pending', 'processing')
            union all
            select o.id
            from public.crm_sync_queue as o
            where w.customer_id is null
              and o.customer_id is null
              and o.client_id = w.client_id
              and o.customer_crm_id = w.customer_crm_id
              and o.status in ('pending', 'processing')
        ) as o
        where w.settled_as not in ('retry', 'wait')
          and o.id <> all (array(select w.id from written as w where w.settled_as <> 'superseded'))
    )
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
      from public.crm_sync_queue as q
      where q.id = o.key::rowcall.crm_sync_queue_key
        and q.claim_token = o.token
  )
