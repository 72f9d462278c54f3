-- What the demo's tail shows: rows of every queue that changed since $1, or that a worker holds, with their attempts after
-- $2, and now. One statement, so that a row and its attempts are of one moment. A change may come to light later than its
-- time says, as may an attempt than its number; whoever looks, looks back a little and knows what it has seen.
-- One arm a queue. `asked` is what a person did, for "asked for by somebody".
select
    r.queue,
    r.key,
    r.label,
    r.status,
    r.is_due,
    r.asked,
    r.attempts,
    coalesce(q.max_attempts, r.max_attempts) as max_attempts,
    r.generation,
    r.error_message,
    r.requested_by,
    coalesce(r.claimed_until > now(), false) as is_running,
    -- Null where nothing follows by itself.
    coalesce(extract(epoch from r.next_retry_at - now())::double precision, 0) as due_in,
    array(
        select row_to_json(ended)::jsonb
        from (
            select
                h.id,
                h.settled_as,
                h.meaning,
                h.error,
                h.response ->> 'by' as told_by,
                extract(epoch from h.duration)::double precision as seconds
            from rowcall.history as h
            where h.queue = r.queue
              and h.key = r.key
              and h.id > $2::bigint
            order by h.id
        ) as ended
    ) as ended,
    to_char(clock_timestamp(), 'HH24:MI:SS') as time,
    now() as looked_at
from (
    select
        'codes' as queue,
        c.id::text as key,
        c.code::text as label,
        c.status::text as status,
        c.status in ('creating', 'updating', 'deleting', 'renaming') as is_due,
        'asked for' as asked,
        c.attempts,
        c.max_attempts,
        c.generation,
        c.error_message,
        c.requested_by,
        c.claimed_by,
        c.claimed_until,
        c.next_retry_at,
        greatest(c.created_at, c.updated_at, c.requested_at) as changed_at
    from public.codes as c
    union all
    select
        'actions',
        a.id::text,
        format('%s #%s', a.action_type, a.id),
        a.reply_status,
        coalesce(a.reply_status in ('pending', 'processing'), false),
        a.status,
        a.attempts,
        a.max_attempts,
        a.generation,
        coalesce(a.error_message, case when a.held_back then 'Earlier replies to this contact go first.' end),
        a.requested_by,
        a.claimed_by,
        a.claimed_until,
        a.next_retry_at,
        greatest(a.created_at, a.updated_at, a.requested_at)
    from public.actions as a
    union all
    select
        'fulfillment_logs',
        l.id::text,
        format('%s %s', coalesce(o.package, 'an order'), right(o.phone_number, 9)),
        l.status,
        l.status in ('pending', 'processing') or (l.status = 'failed' and l.retry_after is not null),
        'asked for',
        l.attempt_number,
        l.max_attempts,
        l.generation,
        coalesce(l.error_message, case when l.held_back then 'An earlier order for this number goes first.' end),
        l.requested_by,
        l.claimed_by,
        l.claimed_until,
        l.retry_after,
        greatest(l.created_at, l.updated_at, l.requested_at)
    from public.fulfillment_logs as l
    join public.orders as o on o.id = l.order_id
    union all
    select
        'crm_sync_queue',
        s.id::text,
        format('%s #%s', s.action_type, s.id),
        s.status,
        s.status in ('pending', 'processing'),
        'asked for',
        s.attempts,
        s.max_attempts,
        s.generation,
        s.error_message,
        s.requested_by,
        s.claimed_by,
        s.claimed_until,
        s.next_retry_at,
        greatest(s.created_at, s.updated_at, s.requested_at)
    from public.crm_sync_queue as s
    union all
    select
        'crm_orders',
        o.id::text,
        format('order %s', o.crm_order_id),
        o.status,
        o.status in ('asked', 'fetching'),
        'told of',
        o.attempts,
        o.max_attempts,
        o.generation,
        o.error_message,
        o.requested_by,
        o.claimed_by,
        o.claimed_until,
        o.next_retry_at,
        greatest(o.created_at, o.updated_at, o.requested_at)
    from public.crm_orders as o
    union all
    select
        'fluent_sync_status',
        s.id::text,
        case
            when s.is_full then 'all tickets'
            when s.date_filter is not null then 'since ' || s.date_filter
            else 'changed tickets'
        end,
        s.status,
        s.status in ('pending', 'running'),
        'asked for',
        s.attempts,
        s.max_attempts,
        s.generation,
        s.error_message,
        s.requested_by,
        s.claimed_by,
        s.claimed_until,
        s.next_retry_at,
        greatest(s.created_at, s.updated_at, s.requested_at)
    from public.fluent_sync_status as s
    union all
    select
        'links',
        l.id::text,
        coalesce(l.slug, format('link #%s', l.id)),
        l.status,
        l.status = 'creating',
        'asked for',
        l.attempts,
        l.max_attempts,
        l.generation,
        l.error_message,
        l.requested_by,
        l.claimed_by,
        l.claimed_until,
        l.next_retry_at,
        greatest(l.created_at, l.updated_at, l.requested_at)
    from public.links as l
    union all
    select
        'organizations',
        o.id::text,
        coalesce(o.name, format('organization #%s', o.id)),
        o.status,
        o.status = 'syncing',
        'asked for',
        o.attempts,
        o.max_attempts,
        o.generation,
        o.error_message,
        o.requested_by,
        o.claimed_by,
        o.claimed_until,
        o.next_retry_at,
        greatest(o.created_at, o.updated_at, o.requested_at)
    from public.organizations as o
    union all
    select
        'orders',
        o.id::text,
        coalesce('order of ' || o.customer, format('order %s', o.id)),
        o.status,
        o.status = 'updating',
        'asked for',
        o.attempts,
        o.max_attempts,
        o.generation,
        o.error_message,
        o.requested_by,
        o.claimed_by,
        o.claimed_until,
        o.next_retry_at,
        greatest(o.created_at, o.updated_at, o.requested_at)
    from public.orders as o
    where o.generation > 0
    union all
    select
        'fienta_checks',
        f.id::text,
        format('check of %s', f.name),
        f.status,
        f.status = 'checking',
        'asked for',
        f.attempts,
        f.max_attempts,
        f.generation,
        f.error_message,
        f.requested_by,
        f.claimed_by,
        f.claimed_until,
        f.next_retry_at,
        greatest(f.updated_at, f.requested_at)
    from public.fienta_checks as f
) as r
join rowcall.queues as q on q.queue = r.queue
where r.claimed_by is not null
   or r.changed_at > coalesce($1::timestamptz, '-infinity') - interval '10 seconds'
order by r.next_retry_at, r.queue, r.key
