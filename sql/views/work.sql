-- Everything that is asked for and not done, over all queues: what runs, waits, failed, or nobody knows.
create or replace view rowcall.work as
select
    r.queue,
    r.key,
    r.label,
    case
        when r.status = 'unknown' then 'unknown'
        when not r.is_due then 'failed'
        when r.claimed_until > now() then 'running'
        when r.next_retry_at > now() or q.paused or t.state = 'open' or p.state = 'open' then 'waiting'
        else 'asked'
    end as state,
    r.status,
    r.attempts,
    coalesce(q.max_attempts, r.max_attempts) as max_attempts,
    coalesce(
        r.error_message,
        case
            when not r.is_due then null
            when q.paused then 'paused: ' || q.paused_reason
            when t.state = 'open' then t.reason
            when p.state = 'open' then p.reason
        end
    ) as reason,
    case
        when r.is_due then greatest(
            r.next_retry_at,
            case when t.state = 'open' then t.next_probe_at end,
            case when p.state = 'open' then p.next_probe_at end
        )
    end as next_retry_at,
    r.generation,
    r.requested_by,
    r.requested_at,
    r.claimed_by,
    r.claimed_until,
    -- A row of which nobody knows may still be settled by what the provider tells; after a while only a person can.
    not r.is_due and (r.status <> 'unknown' or r.updated_at <= now() - q.look_after) as needs_person
from (
    select
        'codes'::text as queue,
        c.id::text as key,
        c.code::text as label,
        c.status::text as status,
        c.status in ('creating', 'updating', 'deleting', 'renaming') as is_due,
        c.attempts,
        c.max_attempts,
        c.error_message,
        c.next_retry_at,
        c.generation,
        c.requested_by,
        c.requested_at,
        c.claimed_by,
        c.claimed_until,
        c.updated_at,
        null::text as part
    from public.codes as c
    where c.status in ('creating', 'updating', 'deleting', 'renaming')
       or (c.error_message is not null and c.status not in ('creating', 'updating', 'deleting', 'renaming'))
    union all
    select
        'actions',
        a.id::text,
        format('%s #%s', a.action_type, a.id),
        a.reply_status,
        a.reply_status in ('pending', 'processing'),
        a.attempts,
        a.max_attempts,
        coalesce(
            a.error_message,
            case when a.held_back and a.reply_status in ('pending', 'processing') then 'earlier replies to this contact go first' end
        ),
        a.next_retry_at,
        a.generation,
        a.requested_by,
        a.requested_at,
        a.claimed_by,
        a.claimed_until,
        a.updated_at,
        null
    from public.actions as a
    where a.reply_status in ('pending', 'processing')
       or a.reply_status in ('failed', 'unknown')
    union all
    select
        'fulfillment_logs',
        l.id::text,
        format('%s of order %s', coalesce(l.package, 'a bundle'), l.order_id),
        l.status::text,
        l.status in ('pending', 'processing') or (l.status = 'failed' and l.retry_after is not null),
        greatest(l.attempt_number - (l.status in ('pending', 'processing') or l.generation = 0)::integer, 0),
        l.max_attempts,
        coalesce(
            l.error_message,
            case when l.held_back then 'an earlier purchase for the same number goes first' end
        ),
        l.retry_after,
        l.generation,
        l.requested_by,
        l.requested_at,
        l.claimed_by,
        l.claimed_until,
        l.updated_at,
        null
    from public.fulfillment_logs as l
    where l.status in ('pending', 'processing')
       or l.status in ('failed', 'unknown')
    union all
    select
        'crm_sync_queue',
        s.id::text,
        format('%s #%s', s.action_type, s.id),
        -- Of these nobody knows whether they took effect; the documented statuses have no word for it.
        case when s.status = 'failed' and s.claim_token is not null then 'unknown' else s.status end,
        s.status in ('pending', 'processing'),
        s.attempts,
        s.max_attempts,
        s.error_message,
        s.next_retry_at,
        s.generation,
        s.requested_by,
        s.requested_at,
        s.claimed_by,
        s.claimed_until,
        s.updated_at,
        rowcall.crm_target(c.crm_type, c.tenant, c.shop)
    from public.crm_sync_queue as s
    join public.clients as c on c.id = s.client_id
    where s.status in ('pending', 'processing')
       or s.status = 'failed'
    union all
    select
        'crm_orders',
        o.id::text,
        format('order %s', o.crm_order_id),
        o.status,
        o.status in ('asked', 'fetching'),
        o.attempts,
        o.max_attempts,
        o.error_message,
        o.next_retry_at,
        o.generation,
        o.requested_by,
        o.requested_at,
        o.claimed_by,
        o.claimed_until,
        o.updated_at,
        rowcall.crm_target(c.crm_type, c.tenant, c.shop)
    from public.crm_orders as o
    join public.clients as c on c.id = o.client_id
    where o.status in ('asked', 'fetching')
       or o.status = 'failed'
    union all
    select
        'fluent_sync_status',
        s.id::text,
        case
            when s.is_full then 'all tickets'
            when s.date_filter is not null then 'tickets since ' || s.date_filter
            else 'changed tickets'
        end,
        s.status::text,
        s.status in ('pending', 'running'),
        s.attempts,
        s.max_attempts,
        coalesce(
            s.error_message,
            case when s.pages_read > 0 then concat_ws(
                ' ', s.pages_read, 'of ' || s.pages_total, 'pages,', s.tickets_fetched, 'of ' || s.tickets_total, 'tickets'
            ) end
        ),
        s.next_retry_at,
        s.generation,
        s.requested_by,
        s.requested_at,
        s.claimed_by,
        s.claimed_until,
        s.updated_at,
        null
    from public.fluent_sync_status as s
    where s.status in ('pending', 'running')
       -- A failed sync is made good by a later one of as much.
       or (
           s.status = 'failed'
           and not exists (
               select
               from public.fluent_sync_status as n
               where n.status = 'success'
                 and n.completed_at > s.completed_at
                 and (n.is_full or (not s.is_full and (s.date_filter is null or n.date_filter <= s.date_filter)))
           )
       )
    union all
    select
        'orders',
        o.id::text,
        format('order %s', o.id),
        o.status::text,
        o.status = 'updating',
        o.attempts,
        o.max_attempts,
        o.error_message,
        o.next_retry_at,
        o.generation,
        o.requested_by,
        o.requested_at,
        o.claimed_by,
        o.claimed_until,
        o.updated_at,
        null
    from public.orders as o
    where o.status = 'updating'
       -- A text that stands there without any request is not rowcall's.
       or (o.error_message is not null and o.status <> 'updating' and o.generation > 0)
    union all
    select
        'fienta_checks',
        f.id::text,
        format('the check of %s', f.name),
        f.status,
        f.status = 'checking',
        f.attempts,
        f.max_attempts,
        f.error_message,
        f.next_retry_at,
        f.generation,
        f.requested_by,
        f.requested_at,
        f.claimed_by,
        f.claimed_until,
        f.updated_at,
        null
    from public.fienta_checks as f
    where f.status in ('checking', 'failed')
    union all
    select
        'links',
        l.id::text,
        coalesce(l.slug::text, format('link #%s', l.id)),
        l.status::text,
        l.status = 'creating',
        l.attempts,
        l.max_attempts,
        l.error_message,
        l.next_retry_at,
        l.generation,
        l.requested_by,
        l.requested_at,
        l.claimed_by,
        l.claimed_until,
        l.updated_at,
        null
    from public.links as l
    where l.status = 'creating'
       or (l.error_message is not null and l.status = 'failed')
    union all
    select
        'organizations',
        o.id::text,
        coalesce(o.name::text, format('organization #%s', o.id)),
        o.status::text,
        o.status = 'syncing',
        o.attempts,
        o.max_attempts,
        o.error_message,
        o.next_retry_at,
        o.generation,
        o.requested_by,
        o.requested_at,
        o.claimed_by,
        o.claimed_until,
        o.updated_at,
        null
    from public.organizations as o
    where o.status = 'syncing'
       or (o.error_message is not null and o.status <> 'syncing')
) as r
join rowcall.queues as q on q.queue = r.queue
join rowcall.targets as t on t.target = q.target
left join rowcall.targets as p on p.target = r.part;
