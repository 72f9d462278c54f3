-- Removes history that is older than its queue keeps it, at most 10,000 rows a time. The BRIN index on settled_at finds it.
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
