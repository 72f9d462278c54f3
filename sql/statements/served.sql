-- Whether a worker other than $2 lives that serves queue $1.
select exists (
    select
    from rowcall.workers as w
    where $1 = any (w.queues)
      and w.id <> $2::uuid
      and not w.draining
      and w.heartbeat_at > now() - interval '15 seconds'
) as served
