-- Removes history that is older than its queue keeps it, at most 10,000 rows a time. The BRIN index on settled_at finds it. And
-- webhooks of CRMs that are heard for so long that none comes again, and tickets that a sync has read and nobody will write,
-- for plain SQL took it back.
with notices as (
    delete from rowcall.crm_notices as n
    where (n.crm_type, n.account, n.webhook_id) in (
        select o.crm_type, o.account, o.webhook_id
        from rowcall.crm_notices as o
        where o.heard_at < now() - interval '30 days'
        order by o.heard_at
        limit 10000
    )
),

pages as (
    delete from rowcall.fluent_pages as p
    using public.fluent_sync_status as s
    where s.id = p.sync_id
      and (s.claimed_until is null or s.claimed_until <= now())
      and (s.status not in ('pending', 'running') or p.generation < s.generation)
)

delete from rowcall.attempts as a
where a.id = any (array(
    select o.id
    from rowcall.queues as q
    cross join lateral (
        select h.id
        from rowcall.attempts as h
        where h.settled_at < now() - q.history_kept
          and h.queue = q.queue
        limit 10000
    ) as o
    limit 10000
))
