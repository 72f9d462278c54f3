-- Takes up to $1 due changes of memberships for worker $2 under token $3 and leases them for $4 seconds, past the first $5.
--
-- Promise: while the lease holds and the worker lives, no other caller receives the same row. Promise: one customer's rows
-- run one at a time, in the order in which they were made. Promise: clients take turns, so that none waits for another's
-- backlog; among the rows of one, a higher priority goes first. An account that rests (its breaker is open, its rate is
-- spent) is left out: its rows are neither taken nor written, and cost the others nothing.
-- A row that still carries a token is `uncertain`: an attempt began and its end is not known. If a worker lost it (it
-- died, or its lease ran out), that attempt is counted and written to history; a row handed back is not counted.
-- A claim whose answer was lost on the way is repeated under the same token, and returns the same rows, uncertain where
-- they were: an uncertain row carries the token with a mark (its version digit, 4, is e), and `token` is what settles it.
-- A worker that counts as dead gets nothing until it has a new name, and nobody gets anything of a paused queue. The time is that of the statement.
--
-- Two claims never take of the same account at once: each counts the account's turns on, and who saw an older turn than
-- the one that stands takes nothing of it. So the customers' order needs no lock of its own, and the rate no second look.
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
    from public.crm_sync_queue as q
    where q.status = 'processing'
),

asked (rows) as materialized (
    select case
        when exists (select from alive)
            and not exists (select from rowcall.queues as q where q.queue = 'crm_sync_queue' and q.paused)
            then greatest($1::bigint - (select count(*) from running as r where r.is_mine), 0)
        else 0
    end
),

-- The clients that ask for anything, by one step through the index each.
busy (client_id) as (
    (
        select q.client_id
        from public.crm_sync_queue as q
        where q.status = 'pending'
        order by q.client_id
        limit 1
    )
    union all
    select (
        select q.client_id
        from public.crm_sync_queue as q
        where q.status = 'pending'
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
    cross join (select q.part_slots from rowcall.queues as q where q.queue = 'crm_sync_queue') as p
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
        sum(rowcall.crm_calls(d.action_type)) over front - rowcall.crm_calls(d.action_type) as calls_before
    from account as a
    cross join asked as k
    cross join lateral (
        (
            select q.id, q.action_type, null::timestamptz as tried_at, q.priority, q.next_retry_at, true as is_left
            from public.crm_sync_queue as q
            where q.id in (select r.id from running as r where r.client_id = a.client_id and r.is_left and not r.is_mine)
              and q.next_retry_at <= statement_timestamp()
        )
        union all
        (
            select q.id, q.action_type, null, q.priority, q.next_retry_at, false
            from public.crm_sync_queue as q
            where not a.is_open
              and q.client_id = a.client_id
              and q.status = 'pending'
              and q.next_retry_at <= statement_timestamp()
              -- Asked anew while it runs.
              and (q.claimed_until is null or q.claimed_until <= statement_timestamp() or q.claimed_by in (select w.id from dead as w))
              and rowcall.crm_row_before(q) is null
            order by q.priority desc, q.next_retry_at, q.id
            limit ceil(2.0 * k.rows / a.accounts)::bigint + $5::bigint
        )
        union all
        (
            -- What was tried longest ago probes an open breaker: a row that opens it again and again does not shut out the others.
            select q.id, q.action_type, q.last_attempt_at, q.priority, q.next_retry_at, false
            from public.crm_sync_queue as q
            where a.is_open
              and q.client_id = a.client_id
              and q.status = 'pending'
              and q.next_retry_at <= statement_timestamp()
              and (q.claimed_until is null or q.claimed_until <= statement_timestamp() or q.claimed_by in (select w.id from dead as w))
              and rowcall.crm_row_before(q) is null
            order by q.last_attempt_at nulls first, q.priority desc, q.next_retry_at, q.id
            limit 1 + $5::bigint
        )
    ) as d
    where a.is_known
      and k.rows > 0
    window front as (
        partition by a.client_id
        order by d.is_left desc, d.tried_at nulls first, d.priority desc, d.next_retry_at, d.id
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
        from public.crm_sync_queue as q
        where q.id = p.id
          and q.status in ('pending', 'processing')
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
    update public.crm_sync_queue as q
    set status = 'processing',
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
        q.id, q.generation, q.attempts, q.max_attempts, q.requested_by, q.client_id, q.customer_id, q.enrollment_id,
        q.action_type, q.stage_id, q.old_stage_id, q.customer_crm_id, q.crm_membership_id, q.reason, q.steps, q.priority, q.next_retry_at,
        q.claim_token
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
            sum(rowcall.crm_calls(c.action_type)) as calls
        from due as d
        join claimed as c on c.id = d.id
        group by d.target, d.calls_every
    ) as s
    where t.target = s.target
),

lost as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'crm_sync_queue',
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
    coalesce((select q.max_attempts from rowcall.queues as q where q.queue = 'crm_sync_queue'), c.max_attempts) as max_attempts,
    c.claim_token <> $3::uuid as uncertain,
    w.operation,
    rowcall.crm_account(c.client_id) || jsonb_build_object(
        'customer', (
            select jsonb_build_object(
                'email', u.email,
                'crm_customer_id', coalesce(u.crm_customer_id, c.customer_crm_id),
                'first_name', u.first_name,
                'last_name', u.last_name,
                'country_code', u.country_code
            )
            from (select) as one
            left join public.customers as u on u.id = c.customer_id
        ),
        'club', coalesce(rowcall.crm_club(w.stage_id), '{}'),
        'previous_club', rowcall.crm_club(c.old_stage_id),
        'reason', c.reason,
        'enrollment_id', c.enrollment_id,
        -- What was made when the customer joined what they are to leave.
        'membership_id', case c.action_type
            when 'cancel_membership' then coalesce(
                c.crm_membership_id,
                (select e.crm_membership_id from public.enrollments as e where e.id = c.enrollment_id)
            )
            when 'upgrade_membership' then (
                select e.crm_membership_id
                from public.enrollments as e
                where e.customer_id = c.customer_id
                  and e.stage_id = c.old_stage_id
                  and e.crm_membership_id is not null
                order by e.enrolled_at desc, e.id desc
                limit 1
            )
        end,
        'unwanted', rowcall.crm_unwanted(w.operation, c.customer_id, c.enrollment_id, w.stage_id),
        'steps', c.steps
    ) as payload,
    c.claim_token as token
from claimed as c
cross join lateral (
    select
        o.operation,
        case when o.operation = c.action_type then c.stage_id else c.old_stage_id end as stage_id
    from rowcall.crm_operation(c.action_type, c.enrollment_id) as o (operation)
) as w
order by c.priority desc, c.next_retry_at, c.id
