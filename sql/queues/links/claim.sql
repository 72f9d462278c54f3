-- Takes up to $1 due links for worker $2 under token $3 and leases them for $4 seconds, past the first $5 of them.
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
        l.id,
        l.next_retry_at,
        coalesce(l.claim_token <> $3::uuid, false) as uncertain,
        case when l.claim_token <> all (array(select f.own from fence as f)) then l.claimed_by end as lost_by
    from public.links as l
    where l.status = 'creating'
      and l.next_retry_at <= statement_timestamp()
      and (
          l.claimed_until is null
          or l.claimed_until <= statement_timestamp()
          or l.claim_token = any (array(select f.own from fence as f))
          or l.claimed_by in (
              select w.id
              from rowcall.workers as w
              where w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
          )
      )
    order by l.next_retry_at, l.id
    limit case
        when exists (
            select
            from rowcall.workers as w
            where w.id = $2::uuid
              and w.heartbeat_at > statement_timestamp() - interval '15 seconds'
        )
        and not exists (select from rowcall.queues as q where q.queue = 'links' and q.paused) then $1::bigint
        else 0
    end
    offset $5::bigint
    for no key update skip locked
),

claimed as (
    update public.links as l
    set claim_token = case
            when l.id = any (array(select d.id from due as d where d.uncertain))
                then (select f.own from fence as f where f.own <> $3::uuid)
            else $3::uuid
        end,
        claimed_by = $2::uuid,
        claimed_until = statement_timestamp() + $4::double precision * interval '1 second',
        attempts = case
            when l.id = any (array(select d.id from due as d where d.lost_by is not null)) then l.attempts + 1
            else l.attempts
        end
    where l.id = any (array(select d.id from due as d))
    returning
        l.id, l.generation, l.attempts, l.max_attempts, l.next_retry_at, l.requested_by, l.target_url, l.slug,
        l.claim_token
),

lost as (
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, worker, requested_by)
    select
        'links',
        l.id::text,
        l.generation,
        l.attempts,
        'lost',
        'the worker died, or its lease ended, before an outcome was written',
        d.lost_by,
        l.requested_by
    from due as d
    join claimed as l on l.id = d.id
    where d.lost_by is not null
)

select
    l.id::text as key,
    l.generation,
    l.attempts + 1 as attempt,
    coalesce((select q.max_attempts from rowcall.queues as q where q.queue = 'links'), l.max_attempts) as max_attempts,
    l.claim_token <> $3::uuid as uncertain,
    'create' as operation,
    jsonb_build_object('target_url', l.target_url, 'slug', l.slug) as payload,
    l.claim_token as token
from claimed as l
order by l.next_retry_at, l.id
