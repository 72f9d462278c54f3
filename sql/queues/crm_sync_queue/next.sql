-- The seconds until a row may be taken that cannot be now, because its account rests, has its slots full or was just locked
-- by another claim; null when there is none. What is waiting for its own time has its alarm from what was settled.
with recursive busy (client_id) as (
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

left_behind as materialized (
    select q.client_id
    from public.crm_sync_queue as q
    where q.status = 'processing'
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
            from public.crm_sync_queue as q
            where q.client_id = a.client_id
              and q.status = 'pending'
              and q.next_retry_at <= now()
              and (q.claimed_until is null or q.claimed_until <= now())
              and rowcall.crm_row_before(q) is null
            order by q.priority desc, q.next_retry_at, q.id
            limit 1
        ) is not null
    )
    or a.client_id in (select l.client_id from left_behind as l)
