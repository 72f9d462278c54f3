-- Takes up to $1 due codes for worker $2 under token $3 and leases them for $4 seconds, past the first $5 of them.
--
-- Promise: while the lease holds and the worker lives, no other caller receives the same row.
-- A row that still carries a token is `uncertain`: an attempt began and its end is not known. If a worker lost it (it
-- died, or its lease ran out), that attempt is counted and written to history; a row handed back is not counted.
-- A claim whose answer was lost on the way is repeated under the same token, and returns the same rows, uncertain where
-- they were: an uncertain row carries the token with a mark (its version digit, 4, is e), and `token` is what settles it.
-- A worker that counts as dead gets nothing until it has a new name. The time is that of the statement, not of the
-- transaction, which may have waited for the lock on the policy before it came here.
-- A row that refuses the claim's own write (a constraint or trigger of the users') is passed over with $5.
-- Rows out of attempts are handed out too: the worker ends them without running anything, so none can stay stuck.
with fence (own) as materialized (
    values ($3::uuid), (overlay($3::uuid::text placing 'e' from 15 for 1)::uuid)
),

due as materialized (
    select
        c.id,
        c.next_retry_at,
        coalesce(c.claim_token <> $3::uuid, false) as uncertain,
        case when c.claim_token <> all (array(select f.own from fence as f)) then c.claimed_by end as lost_by
    from public.codes as c
    where c.status in ('creating', 'updating', 'deleting', 'renaming')
      and c.next_retry_at <= statement_timestamp()
      and (
          c.claimed_until is null
          or c.claimed_until <= statement_timestamp()
          or c.claim_token = any (array(select f.own from fence as f))
          or c.claimed_by in (
              select w.id
              from rowcall.workers as w
              where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
          )
      )
    order by c.next_retry_at, c.id
    limit case
        when exists (
            select
            from rowcall.workers as w
            where w.id = $2::uuid
              and w.heartbeat_at > statement_timestamp() - interval '15 seconds'
        )
        and not exists (select from rowcall.queues as q where q.queue = 'codes' and q.paused) then $1::bigint
        else 0
    end
    offset $5::bigint
    for no key update skip locked
),

claimed as (
    update public.codes as c
    set claim_token = case
            when c.id = any (array(select d.id from due as d where d.uncertain))
                then (select f.own from fence as f where f.own <> $3::uuid)
            else $3::uuid
        end,
        claimed_by = $2::uuid,
        claimed_until = statement_timestamp() + $4::double precision * interval '1 second',
        attempts = case
            when c.id = any (array(select d.id from due as d where d.lost_by is not null)) then c.attempts + 1
            else c.attempts
        end
    where c.id = any (array(select d.id from due as d))
    returning
        c.id, c.generation, c.attempts, c.max_attempts, c.next_retry_at, c.requested_by, c.status, c.code, c.metadata,
        c.claim_token
),

lost as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'codes',
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
    coalesce((select q.max_attempts from rowcall.queues as q where q.queue = 'codes'), c.max_attempts) as max_attempts,
    c.claim_token <> $3::uuid as uncertain,
    case c.status
        when 'creating' then 'create'
        when 'updating' then 'update'
        when 'deleting' then 'delete'
        when 'renaming' then 'rename'
    end as operation,
    jsonb_build_object(
        'code', c.code,
        'status', c.status,
        'metadata', c.metadata,
        -- What an earlier run of this very rename has put there is no other's.
        'new_code_taken', c.status = 'renaming' and c.metadata -> 'renamed_to' is distinct from c.metadata -> 'new_code' and exists (
            select
            from public.codes as o
            where o.code = c.metadata ->> 'new_code'
              and o.status not in ('deleted', 'failed')
        )
    ) as payload,
    c.claim_token as token
from claimed as c
order by c.next_retry_at, c.id
