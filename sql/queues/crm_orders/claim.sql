-- Takes up to $1 orders that a webhook told of and that are to be read at their CRM, for worker $2 under token $3, and leases
-- them for $4 seconds, past the first $5 of them.
--
-- Whoever knows the webhook's login may say anything, and what was told may be old: so the order is asked for again.
-- Accounts, their turns and rates, dead workers and repeated claims are as in crm_sync_queue/claim.sql, whose calls count
-- for the same accounts. Only the customers' order is no matter here.
with recursive fence (own) as materialized (
    values ($3::uuid), (overlay($3::uuid::text placing 'e' from 15 for 1)::uuid)
),

dead as materialized (
    select w.id
    from rowcall.workers as w
    where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
),

alive as materialized (
    select w.id
    from rowcall.workers as w
    where w.id = $2::uuid
      and w.heartbeat_at > statement_timestamp() - interval '15 seconds'
),

-- What stands as running: ours from a claim whose answer was lost, or nobody's any more, or truly running.
running as materialized (
    select
        q.id,
        q.client_id,
        coalesce(q.claim_token = any (array(select f.own from fence as f)), false) as is_mine,
        q.claimed_until is null
            or q.claimed_until <= statement_timestamp()
            or q.claimed_by in (select d.id from dead as d) as is_left
    from public.crm_orders as q
    where q.status = 'fetching'
),

asked (rows) as materialized (
    select case
        when exists (select from alive)
            and not exists (select from rowcall.queues as q where q.queue = 'crm_orders' and q.paused)
            then greatest($1::bigint - (select count(*) from running as r where r.is_mine), 0)
        else 0
    end
),

-- The clients that ask for anything, by one step through the index each.
busy (client_id) as (
    (
        select q.client_id
        from public.crm_orders as q
        where q.status = 'asked'
        order by q.client_id
        limit 1
    )
    union all
    select (
        select q.client_id
        from public.crm_orders as q
        where q.status = 'asked'
          and q.client_id > b.client_id
        order by q.client_id
        limit 1
    )
    from busy as b
    where b.client_id is not null
),

account as materialized (
    select
        a.*,
        case when a.is_open then 1 else p.part_slots end - coalesce(r.running, 0) as room,
        count(*) over () as accounts
    from rowcall.crm_accounts as a
    cross join (select q.part_slots from rowcall.queues as q where q.queue = 'crm_orders') as p
    left join (
        select r.client_id, count(*) as running
        from running as r
        where not r.is_left
          and not r.is_mine
        group by r.client_id
    ) as r on r.client_id = a.client_id
    where a.client_id in (
            select b.client_id from busy as b
            union
            select r.client_id from running as r where r.is_left
        )
      and a.ready_at <= statement_timestamp()
      and (not a.is_open or a.next_probe_at <= statement_timestamp())
),

-- An account that was never called becomes a target, and has its turn with the next look.
made as (
    insert into rowcall.targets (target, part_of, calls_per_minute)
    select a.target, 'crm', case a.crm_type when 'commerce7' then 90 end
    from account as a
    where not a.is_known
    order by a.target
    on conflict do nothing
),

-- What may come next of each client, twice as much as its share.
candidate as materialized (
    select
        a.client_id,
        a.target,
        a.turn,
        a.is_open,
        a.spent_until,
        a.served_at,
        a.ready_at,
        a.calls_every,
        a.calls_burst,
        d.id,
        row_number() over front as nth,
        (row_number() over front - 1) * rowcall.crm_calls('fetch_order') as calls_before
    from account as a
    cross join asked as k
    cross join lateral (
        (
            select q.id, q.next_retry_at, true as is_left
            from public.crm_orders as q
            where q.id in (select r.id from running as r where r.client_id = a.client_id and r.is_left and not r.is_mine)
              and q.next_retry_at <= statement_timestamp()
        )
        union all
        (
            select q.id, q.next_retry_at, false
            from public.crm_orders as q
            where q.client_id = a.client_id
              and q.status = 'asked'
              and q.next_retry_at <= statement_timestamp()
              -- Asked anew while it runs.
              and (q.claimed_until is null or q.claimed_until <= statement_timestamp() or q.claimed_by in (select w.id from dead as w))
            order by q.next_retry_at, q.id
            limit ceil(2.0 * k.rows / a.accounts)::bigint + $5::bigint
        )
    ) as d
    where a.is_known
      and k.rows > 0
    window front as (
        partition by a.client_id
        order by d.is_left desc, d.next_retry_at, d.id
        rows unbounded preceding
    )
),

picked as materialized (
    select n.*
    from candidate as n
    join account as a on a.client_id = n.client_id
    where n.nth <= coalesce(a.room, n.nth)
      and (
          n.calls_every is null
          or (n.calls_before < n.calls_burst and n.ready_at + n.calls_before * n.calls_every <= statement_timestamp())
      )
    order by n.nth, n.served_at nulls first, n.client_id
    limit (select k.rows from asked as k)
    offset $5::bigint
),

turn as materialized (
    select t.target, t.turn, t.state = 'open' as is_open, t.spent_until
    from rowcall.targets as t
    where t.target = any (array(select p.target from picked as p))
    order by t.target
    for no key update skip locked
),

due as materialized (
    select p.target, p.calls_every, q.*
    from picked as p
    join turn as t on (t.target, t.turn, t.is_open, t.spent_until) = (p.target, p.turn, p.is_open, p.spent_until)
    cross join lateral (
        select
            q.id,
            coalesce(q.claim_token <> all (array(select f.own from fence as f)), false) as uncertain,
            q.claimed_by as lost_by
        from public.crm_orders as q
        where q.id = p.id
          and q.status in ('asked', 'fetching')
          and q.next_retry_at <= statement_timestamp()
          and (
              q.claimed_until is null
              or q.claimed_until <= statement_timestamp()
              or q.claimed_by in (select d.id from dead as d)
          )
        for no key update skip locked
    ) as q
),

claimed as (
    update public.crm_orders as q
    set status = 'fetching',
        claim_token = case
            when q.id = any (array(select d.id from due as d where d.uncertain))
                or q.claim_token = (select f.own from fence as f where f.own <> $3::uuid)
                then (select f.own from fence as f where f.own <> $3::uuid)
            else $3::uuid
        end,
        claimed_by = $2::uuid,
        claimed_until = statement_timestamp() + $4::double precision * interval '1 second',
        attempts = case
            when q.id = any (array(select d.id from due as d where d.lost_by is not null)) then q.attempts + 1
            else q.attempts
        end
    where q.id = any (array(
        select d.id
        from due as d
        union all
        select r.id
        from running as r
        where r.is_mine
          and exists (select from alive)
    ))
    returning
        q.id, q.generation, q.attempts, q.max_attempts, q.requested_by, q.client_id, q.crm_order_id, q.webhook_id, q.event,
        q.next_retry_at, q.claim_token
),

-- The turn, and what the rows may cost of the account's rate: the last of them may overdraw it.
served as (
    update rowcall.targets as t
    set turn = t.turn + 1,
        served_at = statement_timestamp(),
        spent_until = case
            when s.calls_every is null then t.spent_until
            else greatest(t.spent_until, statement_timestamp()) + s.calls * s.calls_every
        end
    from (
        select
            d.target,
            d.calls_every,
            count(*) * rowcall.crm_calls('fetch_order') as calls
        from due as d
        join claimed as c on c.id = d.id
        group by d.target, d.calls_every
    ) as s
    where t.target = s.target
),

lost as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'crm_orders',
        c.id::text,
        c.generation,
        c.attempts,
        'lost',
        'the worker died, or its lease ended, before an outcome was written',
        d.lost_by,
        c.requested_by
    from due as d
    join claimed as c on c.id = d.id
    where d.lost_by is not null
)

select
    c.id::text as key,
    c.generation,
    c.attempts + 1 as attempt,
    coalesce((select q.max_attempts from rowcall.queues as q where q.queue = 'crm_orders'), c.max_attempts) as max_attempts,
    c.claim_token <> $3::uuid as uncertain,
    'fetch_order' as operation,
    rowcall.crm_account(c.client_id) || jsonb_build_object(
        'order_id', c.crm_order_id,
        'webhook_id', coalesce(c.webhook_id, format('crm_orders:%s:%s', c.id, c.generation)),
        'event', coalesce(c.event, 'order/update')
    ) as payload,
    c.claim_token as token
from claimed as c
order by c.next_retry_at, c.id
