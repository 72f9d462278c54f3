-- Removes history that is older than its queue keeps it, at most 10,000 rows a time.
delete from rowcall.attempts as a
where a.id = any (array(
    select o.id
    from rowcall.attempts as o
    join rowcall.queues as q on q.queue = o.queue
    where o.settled_at < now() - q.history_kept
    order by o.id
    limit 10000
))
