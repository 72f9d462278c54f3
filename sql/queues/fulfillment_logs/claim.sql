-- Takes up to $1 due rows of fulfilment for worker $2 under token $3 and leases them for $4 seconds, past the first $5 of them.
--
-- Promise: while the lease holds and the worker lives, no other caller receives the same row. Promise: for one telephone number
-- one purchase is under way at a time, over all workers; those that wait for it go oldest first. A purchase is under way from its
-- claim until it is known to be delivered or not.
-- A row that carries a token was perhaps bought: it is `uncertain`, or, once its supplier has accepted it, looked up. If a worker
-- lost a purchase, that attempt is counted and written to history; a look-up spends none. A claim whose answer was lost on the
-- way is repeated under the same token, and returns the same rows, uncertain where they were: an uncertain row carries the
-- token with a mark (its version digit, 4, is e), and `token` is what settles it.
-- A worker that counts as dead gets nothing until it has a new name, and nobody gets anything of a paused queue. The time is that of the statement, not of the
-- transaction, which may have waited for the lock on the policy before it came here.
-- A row is taken together with its order, on which a trigger shows the step; where somebody holds either, both are passed
-- over. Rows that refuse the claim's own write are passed over with $5; rows that a report waits for are left to the sweep.
--
-- What is bought stands on the order, until the moment of the claim: its number and package as they are then. An order that is
-- not to be bought any more ends here, without a purchase.
with fence (own) as materialized (
    values ($3::uuid), (overlay($3::uuid::text placing 'e' from 15 for 1)::uuid)
),

asked (rows) as materialized (
    select case
        when exists (
            select
            from rowcall.workers as w
            where w.id = $2::uuid
              and w.heartbeat_at > statement_timestamp() - interval '15 seconds'
        )
        and not exists (select from rowcall.queues as q where q.queue = 'fulfillment_logs' and q.paused) then $1::bigint
        else 0
    end
),

policy as materialized (
    select q.max_attempts
    from rowcall.queues as q
    where q.queue = 'fulfillment_logs'
),

settings as materialized (
    select f.duplicate_window as apart
    from rowcall.fulfillment_settings as f
),

dead as materialized (
    select w.id
    from rowcall.workers as w
    where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
),

seen as materialized (
    select
        d.id,
        d.is_under_way,
        d.number,
        t.turn,
        row_number() over (order by d.retry_after, d.id) as nth,
        not d.is_under_way
        and d.number <> ''
        and (
            exists (
                select
                from public.fulfillment_logs as x
                where right(regexp_replace(x.phone_number, '[^0-9]', '', 'g'), 9) = d.number
                  and (x.created_at, x.id) < (d.created_at, d.id)
                  and (x.status in ('pending', 'processing') or (x.status = 'failed' and x.retry_after is not null))
                  and (x.status <> 'failed' or x.retry_after <= statement_timestamp())
            )
            or exists (
                select
                from public.fulfillment_logs as x
                where right(regexp_replace(x.phone_number, '[^0-9]', '', 'g'), 9) = d.number
                  and x.status = 'processing'
                  and x.id <> d.id
            )
        ) as is_behind
    from (
        select
            l.id,
            l.retry_after,
            l.created_at,
            l.status = 'processing' as is_under_way,
            coalesce(
                right(regexp_replace(
                    case when l.claim_token is null then o.phone_number else l.phone_number end, '[^0-9]', '', 'g'
                ), 9),
                ''
            ) as number
        from (
            select l.id, l.order_id, l.retry_after, l.created_at, l.status, l.phone_number, l.claim_token
            from public.fulfillment_logs as l
            where (l.status in ('pending', 'processing') or (l.status = 'failed' and l.retry_after is not null))
              and l.retry_after <= statement_timestamp()
              and (l.reported is null or l.claim_token = any (array(select f.own from fence as f)))
              -- What an earlier purchase is told to have delivered is applied first.
              and not (
                  l.asked_as is not null
                  and l.claim_token is null
                  and exists (
                      select
                      from rowcall.supplier_reports as r
                      where r.applied_as is null
                        and r.state = 'delivered'
                        and r.reference = l.order_id::text
                        and r.told_at > now() - interval '7 days'
                  )
              )
              and (
                  l.claimed_until is null
                  or l.claimed_until <= statement_timestamp()
                  or l.claim_token = any (array(select f.own from fence as f))
                  or l.claimed_by in (select w.id from dead as w)
              )
            order by l.retry_after, l.id
            limit 1000
        ) as l
        join public.orders as o on o.id = l.order_id
    ) as d
    left join lateral (
        select n.turn
        from rowcall.number_turns as n
        where n.number = d.number
        limit 1
    ) as t on true
),

due as materialized (
    select s.nth, s.is_under_way, s.number, s.turn, a.*
    from seen as s
    cross join lateral (
        select
            l.id,
            l.created_at,
            l.claim_token is null as is_fresh,
            l.accepted_at is not null
            or coalesce(l.claim_token = any (array(select f.own from fence as f)), false)
            or (o.network is not distinct from 'AT-iShare' and rowcall.is_paid(rowcall.order_standing(o.status, o.metadata))) as is_wanted,
            coalesce(l.claim_token <> $3::uuid, false) as uncertain,
            case when l.claim_token <> all (array(select f.own from fence as f)) then l.claimed_by end as lost_by,
            case when l.claim_token is null then o.network else l.network end as network,
            case when l.claim_token is null then o.phone_number else l.phone_number end as phone_number,
            case when l.claim_token is null then o.package else coalesce(l.package, o.package) end as package
        from public.fulfillment_logs as l
        join public.orders as o on o.id = l.order_id
        where l.id = s.id
          and (l.status in ('pending', 'processing') or (l.status = 'failed' and l.retry_after is not null))
          and l.retry_after <= statement_timestamp()
          and (l.reported is null or l.claim_token = any (array(select f.own from fence as f)))
          and (
              l.claimed_until is null
              or l.claimed_until <= statement_timestamp()
              or l.claim_token = any (array(select f.own from fence as f))
              or l.claimed_by in (select w.id from dead as w)
          )
        for no key update of l, o skip locked
    ) as a
    where not s.is_behind
    limit (select k.rows from asked as k)
    offset $5::bigint
),

-- Reserves the number's turn. Whoever was faster has moved it on; then this row is not ours.
turned as (
    insert into rowcall.number_turns as t (number, turn, token)
    select distinct on (d.number)
        d.number,
        coalesce(d.turn, 0) + 1,
        $3::uuid
    from due as d
    where d.number <> ''
      and d.is_wanted
      and not d.is_under_way
    order by d.number, d.nth
    on conflict (number) do update
    set turn = excluded.turn,
        token = excluded.token,
        taken_at = now()
    where t.turn = excluded.turn - 1
    returning t.number
),

taken as materialized (
    select distinct on (case when d.is_under_way or d.number = '' then d.id::text else d.number end) d.*
    from due as d
    where d.is_wanted
      and (d.is_under_way or d.number = '' or d.number in (select t.number from turned as t))
    order by case when d.is_under_way or d.number = '' then d.id::text else d.number end, d.nth
),

claimed as (
    update public.fulfillment_logs as l
    set status = 'processing',
        attempt_number = greatest(l.attempt_number, 1) + (
            l.status = 'failed' or (t.lost_by is not null and l.accepted_at is null)
        )::integer,
        max_attempts = coalesce((select p.max_attempts from policy as p), l.max_attempts),
        network = t.network,
        phone_number = t.phone_number,
        package = t.package,
        duplicate_of = coalesce(l.duplicate_of, (
            -- An aggregate, so that no index is read in order until one fits.
            select (array_agg(x.order_id::text order by x.created_at, x.id))[1]
            from public.fulfillment_logs as x
            where right(regexp_replace(x.phone_number, '[^0-9]', '', 'g'), 9) = t.number
              and x.created_at between t.created_at - (select s.apart from settings as s)
                  and t.created_at + (select s.apart from settings as s)
              and t.is_fresh
              and t.number <> ''
              and x.id <> t.id
              and (x.status in ('processing', 'success', 'unknown') or (x.status = 'failed' and x.retry_after is not null))
              and coalesce(rowcall.bundle_mb(x.package)::text, x.package) = coalesce(rowcall.bundle_mb(t.package)::text, t.package)
        )),
        held_back = false,
        reference = case when not t.is_fresh then l.reference end,
        -- Since the lost claim began, at the latest; else as long as the row is here.
        doubted_at = case
            when t.uncertain then coalesce(
                l.doubted_at,
                case
                    when t.lost_by is not null
                        then least(l.claimed_until, statement_timestamp()) - $4::double precision * interval '1 second'
                    else l.created_at
                end
            )
        end,
        claim_token = case when t.uncertain then (select f.own from fence as f where f.own <> $3::uuid) else $3::uuid end,
        claimed_by = $2::uuid,
        claimed_until = statement_timestamp() + $4::double precision * interval '1 second',
        updated_at = now()
    from taken as t
    where l.id = t.id
      and l.id = any (array(select o.id from taken as o))
    returning
        l.id, l.order_id, l.generation, l.attempt_number, l.max_attempts, l.requested_by, l.network, l.phone_number, l.package,
        l.supplier, l.provider_reference, l.accepted_at, l.looks, l.created_at, l.claim_token, l.asked_as, l.doubted_at, t.nth, t.lost_by
),

-- Not to be bought any more. What an attempt may have bought is for a person to find out.
taken_back as (
    update public.fulfillment_logs as l
    set status = case when d.is_fresh then 'failed' else 'unknown' end,
        retry_after = null,
        generation = l.generation + 1,
        held_back = false,
        error_message = case
            when d.is_fresh then 'the order was taken back before anything was bought'
            else 'the order was taken back, and an attempt may have bought it: ask the supplier, then use rowcall.resolve'
        end,
        claim_token = case when not d.is_fresh then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    from due as d
    where l.id = d.id
      and l.id = any (array(select o.id from due as o where not o.is_wanted))
    returning l.id, l.generation, l.attempt_number, l.requested_by, l.error_message, d.is_fresh
),

-- What was due and could not be taken makes room, unless enough was found without looking far.
in_the_way as materialized (
    select
        a.id,
        statement_timestamp()
        + least(row_number() over (partition by s.number order by s.nth), 720) * interval '5 seconds' as held_until
    from seen as s
    cross join lateral (
        select a.id
        from public.fulfillment_logs as a
        where a.id = s.id
          and (a.status in ('pending', 'processing') or (a.status = 'failed' and a.retry_after is not null))
          and a.retry_after <= statement_timestamp()
          and a.claimed_by is null
        for no key update skip locked
    ) as a
    where s.is_behind
      and $5::bigint = 0
      and (select count(d.id) < max(k.rows) or max(d.nth) > 2 * max(k.rows) + 50 from asked as k left join due as d on true)
),

held_back as (
    update public.fulfillment_logs as l
    set retry_after = w.held_until,
        held_back = true
    from in_the_way as w
    where l.id = w.id
    returning l.id
),

-- Room was made: there may be more behind what was looked at.
again as materialized (
    select pg_notify('rowcall', 'fulfillment_logs')
    where ((select count(*) from held_back) > 0 and (select count(*) from seen) >= 1000)
       or exists (select from taken_back)
),

history as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'fulfillment_logs',
        c.id::text,
        c.generation,
        greatest(c.attempt_number - (c.accepted_at is null)::integer, 1),
        'lost',
        'the worker died, or its lease ended, before an outcome was written',
        c.lost_by,
        c.requested_by
    from claimed as c
    where c.lost_by is not null
    union all
    select
        'fulfillment_logs',
        b.id::text,
        b.generation - 1,
        greatest(b.attempt_number, 1),
        case when b.is_fresh then 'cancelled' else 'unknown' end,
        b.error_message,
        null,
        b.requested_by
    from taken_back as b
)

select
    c.id::text as key,
    c.generation,
    -- A look-up is no attempt, and never one too many.
    case when c.accepted_at is null then c.attempt_number else least(c.attempt_number, c.max_attempts) end as attempt,
    c.max_attempts,
    c.claim_token <> $3::uuid as uncertain,
    case when c.accepted_at is null then 'purchase' else 'look_up' end as operation,
    jsonb_build_object(
        'order_id', c.order_id,
        'reference', coalesce(c.asked_as, c.order_id::text),
        'phone_number', c.phone_number,
        'package', c.package,
        'amount', o.amount::text,
        'network', c.network,
        'metadata', o.metadata,
        'supplier', c.supplier,
        'provider_reference', c.provider_reference,
        'accepted_at', c.accepted_at,
        'looks', c.looks,
        'created_at', c.created_at,
        'doubted_at', c.doubted_at,
        'now', statement_timestamp()
    ) as payload,
    c.claim_token as token
from claimed as c
join public.orders as o on o.id = c.order_id
where (select count(*) from again) >= 0
order by c.nth
