-- Writes outcomes back on their syncs, in one fenced statement, with history; the end of a sync with its tickets.
--
-- Parameters, arrays of one length: $1 keys, $2 generations, $3 tokens, $4 verdicts, $5 delays (seconds), $6 results,
-- $7 errors, $8 durations (seconds; null: the operation was not started, and no attempt is spent), $9 whether the effect
-- is uncertain, $10 attempts.
-- Returns a row for each outcome that is dealt with: how it was settled, or 'lost' when the claim is no longer ours. An
-- outcome that is not returned met a row that somebody holds locked: try again.
--
-- A page that is not the last is a part: verdict `wait`, with a `cursor` in its result that the next claim hands back. Its
-- tickets are kept in rowcall.fluent_pages, and are written with those of the last page, in the statement that ends the
-- sync: all or nothing. A sync of more than 5,000 tickets or 16 MB writes them whenever so much has come together, for a statement
-- must not take too long.
--
-- Promise: only the token of the current claim is accepted, and a request that changed meanwhile is not overwritten.
-- Nothing is `unknown` here: reading changes nothing, and what is written is written here.
with outcome as materialized (
    select *
    from unnest(
        $1::text[], $2::integer[], $3::uuid[], $4::text[], $5::double precision[],
        $6::jsonb[], $7::text[], $8::double precision[], $9::boolean[], $10::integer[]
    ) as o (key, generation, token, verdict, delay, result, error, duration, uncertain, attempt)
),

held as materialized (
    select
        c.id,
        c.claimed_by,
        c.requested_by,
        coalesce(c.started_at, now() - o.duration * interval '1 second') as started_at,
        o.key,
        o.attempt,
        o.generation,
        o.delay,
        o.result,
        o.error,
        o.duration,
        c.generation = o.generation and o.verdict = 'wait' and coalesce(o.result ? 'cursor', false) as is_part,
        (
            select coalesce(sum(cardinality(p.ids)) >= 5000 or sum(p.size) >= 16777216, false)
            from rowcall.fluent_pages as p
            where p.sync_id = c.id
              and p.generation = c.generation
              and p.tickets is not null
        ) as is_much,
        case
            when c.generation <> o.generation then 'superseded'
            when o.verdict = 'unknown' then 'failed'
            when o.verdict = 'retry'
                and c.attempts + 1 >= coalesce(
                    (select q.max_attempts from rowcall.queues as q where q.queue = 'fluent_sync_status'),
                    c.max_attempts
                )
                then 'failed'
            else o.verdict
        end as settled_as
    from outcome as o
    join public.fluent_sync_status as c on c.id = o.key::rowcall.fluent_sync_status_key
    where c.claim_token = o.token
    order by c.id
    for no key update of c skip locked
),

put as materialized (
    select h.id, p.*
    from held as h
    cross join lateral rowcall.put_fluent_tickets(
        h.key, h.generation, (h.result ->> 'pages_read')::integer, h.result -> 'tickets', h.settled_as = 'done'
    ) as p
    where h.settled_as = 'done'
       or (h.is_part and h.is_much)
),

kept as (
    insert into rowcall.fluent_pages (sync_id, generation, nth, tickets, ids, size)
    select
        h.id,
        h.generation,
        (h.result ->> 'pages_read')::integer,
        h.result -> 'tickets',
        rowcall.ticket_numbers(h.result -> 'tickets'),
        octet_length((h.result -> 'tickets')::text)
    from held as h
    where h.is_part
      and not h.is_much
    on conflict (sync_id, generation, nth) do update
    set tickets = excluded.tickets,
        ids = excluded.ids,
        size = excluded.size
),

-- What nobody will write any more.
dropped as (
    delete from rowcall.fluent_pages as p
    using held as h
    where p.sync_id = h.id
      and (h.settled_as in ('failed', 'superseded') or p.generation < h.generation)
),

written as (
    update public.fluent_sync_status as c
    set status = case
            when h.settled_as = 'done' then 'success'
            when h.settled_as = 'failed' then 'failed'
            when h.is_part then 'running'
            when h.settled_as = 'superseded' then c.status
            else 'pending'
        end,
        cursor = case
            when h.is_part then h.result -> 'cursor'
            when h.settled_as in ('done', 'failed') then null
            else c.cursor
        end,
        started_at = case when h.is_part or h.settled_as = 'done' then h.started_at else c.started_at end,
        completed_at = case when h.settled_as in ('done', 'failed') then now() else c.completed_at end,
        sync_duration = case
            when h.settled_as in ('done', 'failed') then least(
                1000 * extract(epoch from now() - coalesce(h.started_at, now())), 2147483647
            )::integer
            else c.sync_duration
        end,
        pages_read = case
            when h.is_part or h.settled_as = 'done' then (h.result ->> 'pages_read')::integer
            else c.pages_read
        end,
        pages_total = case
            when h.settled_as = 'done' then (h.result ->> 'pages_read')::integer
            when h.is_part then (h.result ->> 'pages_total')::integer
            else c.pages_total
        end,
        tickets_fetched = coalesce(r.fetched, c.tickets_fetched),
        tickets_total = case
            when h.settled_as = 'done' then r.fetched
            when h.is_part then greatest(coalesce((h.result ->> 'tickets_total')::integer, c.tickets_total), r.fetched)
            else c.tickets_total
        end,
        tickets_added = c.tickets_added + coalesce(t.added, 0),
        tickets_updated = c.tickets_updated + coalesce(t.updated, 0),
        tickets_skipped = case
            when h.settled_as = 'done' or (h.is_part and h.is_much)
                then greatest(r.fetched - c.tickets_added - t.added - c.tickets_updated - t.updated, 0)
            else c.tickets_skipped
        end,
        since = case
            when h.is_part or h.settled_as = 'done' then (h.result ->> 'since')::timestamptz
            else c.since
        end,
        watermark = case when h.settled_as = 'done' then (h.result ->> 'watermark')::timestamptz else c.watermark end,
        covered_from = case when h.settled_as = 'done' then (h.result ->> 'covered_from')::date else c.covered_from end,
        fingerprint = case when h.settled_as = 'done' then h.result ->> 'fingerprint' else c.fingerprint end,
        note = case
            when h.settled_as <> 'done' then c.note
            else nullif(concat_ws(
                '; ',
                case
                    when h.result -> 'since' <> 'null' then null
                    when t.fetched = 0 then
                        'the site shows FLUENT_API_USERNAME no ticket at all: either there is none, or this agent may see none'
                    when t.unseen > 0 then format(
                        '%s tickets that are known here were not shown: they are gone from the site, or the agent of '
                        'FLUENT_API_USERNAME may not see them any more; they stay here as they are', t.unseen
                    )
                end,
                h.result ->> 'note'
            ), '')
        end,
        -- A part has got further: the attempts are those at one and the same page.
        attempts = case
            when h.is_part then 0
            when h.settled_as in ('retry', 'failed') and h.duration is not null then c.attempts + 1
            else c.attempts
        end,
        next_retry_at = case
            when h.settled_as in ('retry', 'wait') then now() + h.delay * interval '1 second'
            else c.next_retry_at
        end,
        error_message = case
            when h.settled_as = 'done' or h.is_part then null
            when h.settled_as = 'superseded' then c.error_message
            else h.error
        end,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = case
            when h.settled_as = 'superseded' or (h.settled_as = 'wait' and h.duration is null) then c.updated_at
            else now()
        end
    from held as h
    left join put as t on t.id = h.id
    cross join lateral (
        select case
            when h.settled_as = 'done' then t.fetched
            when h.is_part then rowcall.count_fluent_tickets(h.key, h.generation, h.result -> 'tickets')
        end as fetched
    ) as r
    where c.id = h.id
    returning
        h.key, h.settled_as, c.id, c.tickets_fetched, c.tickets_added, c.tickets_updated, c.tickets_skipped, c.pages_read
),

history as (
    insert into rowcall.attempts (
        queue, key, generation, attempt, settled_as, error, response, worker, requested_by, duration
    )
    -- A sync is one entry, however many parts it had.
    select
        'fluent_sync_status',
        h.key,
        h.generation,
        h.attempt,
        h.settled_as,
        h.error,
        case when h.settled_as = 'done' then jsonb_build_object(
            'pages', w.pages_read, 'fetched', w.tickets_fetched, 'added', w.tickets_added, 'updated', w.tickets_updated,
            'skipped', w.tickets_skipped
        ) end,
        h.claimed_by,
        h.requested_by,
        case when h.settled_as = 'done' then now() - h.started_at else h.duration * interval '1 second' end
    from held as h
    join written as w on w.id = h.id
    where (select q.history from rowcall.queues as q where q.queue = 'fluent_sync_status')
      and (h.duration is not null or h.settled_as <> 'wait')
      and not h.is_part
)

select w.key, w.settled_as
from written as w
union all
select o.key, 'lost'
from outcome as o
where not exists (select from held as h where h.key = o.key)
  and not exists (
      select
      from public.fluent_sync_status as c
      where c.id = o.key::rowcall.fluent_sync_status_key
        and c.claim_token = o.token
  )
