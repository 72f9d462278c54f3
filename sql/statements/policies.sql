-- The policy of every queue, with the state of its target's breaker. Intervals as seconds; ages by the database's clock.
select
    q.queue,
    q.target,
    case when q.paused then coalesce(q.paused_reason, 'paused') end as paused,
    q.slots,
    q.batch,
    extract(epoch from q.lease)::double precision as lease,
    extract(epoch from q.timeout)::double precision as timeout,
    array(
        select extract(epoch from d.delay)::double precision
        from unnest(q.retry_delays) with ordinality as d (delay, nth)
        order by d.nth
    ) as retry_delays,
    q.cluster_slots,
    q.rate_per_second,
    q.rate_burst,
    case when t.state = 'open' then t.reason end as open_reason,
    case when t.state = 'open' then extract(epoch from t.next_probe_at - now())::double precision end as probe_in
from rowcall.queues as q
join rowcall.targets as t on t.target = q.target
