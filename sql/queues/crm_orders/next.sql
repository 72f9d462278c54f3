-- The seconds until an order may be taken that cannot be now, as in crm_sync_queue/next.sql; null when there is none.
with recursive busy (client_id) as (
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

left_behind as materialized (
    select q.client_id
    from public.crm_orders as q
    where q.status = 'fetching'
      and q.next_retry_at <= now()
      and (
          q.claimed_until is null
          or q.claimed_until <= now()
          or q.claimed_by in (select w.id from rowcall.workers as w where w.heartbeat_at <= now() - interval '15 seconds')
      )
)

select extract(
    epoch from greatest(
        min(greatest(a.ready_at, case when a.is_open then a.next_probe_at end, now())) - now(), interval '0.25 seconds'
    )
)::double precision as due_in
from rowcall.crm_accounts as a
where (
        a.client_id in (select b.client_id from busy as b)
        and (
            select q.id
            from public.crm_orders as q
            where q.client_id = a.client_id
              and q.status = 'asked'
              and q.next_retry_at <= now()
              and (q.claimed_until is null or q.claimed_until <= now())
            order by q.next_retry_at, q.id
            limit 1
        ) is not null
    )
    or a.client_id in (select l.client_id from left_behind as l)
