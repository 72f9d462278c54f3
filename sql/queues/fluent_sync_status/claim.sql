-- Takes up to $1 due syncs for worker $2 under token $3 and leases them for $4 seconds, past the first $5 of them.
--
-- A sync is read a page at a time: each page is an operation of its own, whose outcome says where the next one begins. One
-- that has begun goes on before another begins.
--
-- Promise: while the lease holds and the worker lives, no other caller receives the same row.
-- No row is `uncertain`, whatever its token: reading changes nothing, so a page whose outcome was lost is read again. If a
-- worker lost it (it died, or its lease ran out), that attempt is counted and written to history.
-- A claim whose answer was lost on the way is repeated under the same token, and returns the same rows.
-- A worker that counts as dead gets nothing until it has a new name. The time is that of the statement, not of the
-- transaction, which may have waited for the lock on the policy before it came here.
-- A row that refuses the claim's own write (a constraint or trigger of the users') is passed over with $5.
-- Rows out of attempts are handed out too: the worker ends them without running anything, so none can stay stuck.
with due as materialized (
    select
        c.id,
        case when c.claim_token <> $3::uuid then c.claimed_by end as lost_by
    from public.fluent_sync_status as c
    where c.status in ('pending', 'running')
      and c.next_retry_at <= statement_timestamp()
      and (
          c.claimed_until is null
          or c.claimed_until <= statement_timestamp()
          or c.claim_token = $3::uuid
          or c.claimed_by in (
              select w.id
              from rowcall.workers as w
              where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
          )
      )
    order by c.cursor is null, c.next_retry_at, c.id
    limit case
        when exists (
            select
            from rowcall.workers as w
            where w.id = $2::uuid
              and w.heartbeat_at > statement_timestamp() - interval '15 seconds'
        )
        and not exists (select from rowcall.queues as q where q.queue = 'fluent_sync_status' and q.paused) then $1::bigint
        else 0
    end
    offset $5::bigint
    for no key update skip locked
),

claimed as (
    update public.fluent_sync_status as c
    set claim_token = $3::uuid,
        claimed_by = $2::uuid,
        claimed_until = statement_timestamp() + $4::double precision * interval '1 second',
        attempts = case
            when c.id = any (array(select d.id from due as d where d.lost_by is not null)) then c.attempts + 1
            else c.attempts
        end
    where c.id = any (array(select d.id from due as d))
    returning
        c.id, c.generation, c.attempts, c.max_attempts, c.next_retry_at, c.requested_by, c.date_filter, c.is_full, c.cursor,
        c.pages_read, c.claim_token
),

lost as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'fluent_sync_status',
        c.id::text,
        c.generation,
        c.attempts,
        'lost',
        'the worker died, or its lease ended, before an outcome was written',
        d.lost_by,
        c.requested_by
    from due as d
    join claimed as c on c.id = d.id
    where d.lost_by is not null
)

select
    c.id::text as key,
    c.generation,
    c.attempts + 1 as attempt,
    coalesce((select q.max_attempts from rowcall.queues as q where q.queue = 'fluent_sync_status'), c.max_attempts)
        as max_attempts,
    false as uncertain,
    'sync' as operation,
    jsonb_build_object(
        'date_filter', c.date_filter,
        'is_full', c.is_full,
        'cursor', c.cursor,
        'pages_read', c.pages_read,
        'covered', (
            select jsonb_build_object(
                'watermark', s.watermark, 'from', s.covered_from, 'fingerprint', s.fingerprint
            )
            from public.fluent_sync_status as s
            where s.status = 'success'
              and s.watermark is not null
            order by s.completed_at desc, s.id desc
            limit 1
        )
    ) as payload,
    c.claim_token as token
from claimed as c
order by c.cursor is null, c.next_retry_at, c.id
