-- Doctor: the settings of queues $1, their breakers and endpoints, and the rows that only a person can set going.
select
    'queue ' || k.name as subject,
    'problem' as state,
    'rowcall.queues or rowcall.targets has no row for it, so no worker starts' as found,
    'rowcall migrate' as mend
from unnest($1::text[]) as k (name)
where not exists (
    select
    from rowcall.queues as q
    join rowcall.targets as t on t.target = q.target
    where q.queue = k.name
)
union all
select
    'queue ' || q.queue,
    'problem',
    format(
        'paused since %s by %s: %s',
        coalesce(to_char(q.paused_at at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"'), 'unknown'),
        coalesce(q.paused_by, 'unknown'),
        coalesce(q.paused_reason, 'no reason given')
    ),
    format('select rowcall.resume(%L);', q.queue)
from rowcall.queues as q
where q.paused
  and q.queue = any ($1::text[])
union all
select
    'queue ' || string_agg(q.queue, ', ' order by q.queue),
    'problem',
    format(
        'the breaker of %s is open since %s: %s',
        t.target,
        to_char(t.since at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"'),
        t.reason
    ),
    format(
        'mend what it says; rowcall probes by itself %s, or at once with: select rowcall.resume(%L);',
        case
            when t.next_probe_at <= now() then 'when a worker looks'
            else format('in %s s', ceil(extract(epoch from t.next_probe_at - now())))
        end,
        min(q.queue)
    )
from rowcall.queues as q
join rowcall.targets as t on q.target = t.target or (q.target = t.part_of and q.part_slots is not null)
where t.state = 'open'
  and q.queue = any ($1::text[])
group by t.target
union all
select
    'queue ' || e.queue,
    'problem',
    format(
        'its endpoint at %s answered 410 Gone on %s, and is not called any more', e.host,
        to_char(e.gone_at at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"')
    ),
    format('give it another address in the settings or on the row; then, and also when it is back: select rowcall.resume(%L);', e.queue)
from rowcall.gone_endpoints as e
where e.queue = any ($1::text[])
union all
select
    'queue ' || q.queue,
    'note',
    format(
        'its lease of %s s is shorter than three timeouts of %s s and 30 s; workers hold claims that long all the same',
        round(extract(epoch from q.lease)),
        round(extract(epoch from q.timeout))
    ),
    format(
        'update rowcall.queues set lease = %L where queue = %L;', (q.timeout * 3 + interval '30 seconds')::text, q.queue
    )
from rowcall.queues as q
where q.lease < q.timeout * 3 + interval '30 seconds'
  and q.queue = any ($1::text[])
union all
(
    select
        'queue ' || w.queue,
        case when w.needs_person then 'problem' else 'note' end,
        format('the row %s (%s) is parked, nobody knows whether it took effect: %s', w.key, w.label, w.reason),
        format(
            'select rowcall.retry(%1$L, %2$L); or, knowing that it took effect: select rowcall.resolve(%1$L, %2$L, ''done'', ''how you know'');',
            w.queue, w.key
        )
    from rowcall.work as w
    where w.state = 'unknown'
      and w.queue = any ($1::text[])
    order by not w.needs_person, w.requested_at
    limit 5
)
union all
(
    select
        'queue fienta_checks',
        'note',
        format(
            'at %s, %s of the codes stood here and in Fienta differently, such as %s (%s)',
            to_char(f.checked_at at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"'), f.drift_count,
            f.drift -> 0 ->> 'code', replace(f.drift -> 0 ->> 'drift', '_', ' ')
        ),
        'see them all: select d ->> ''code'', d ->> ''drift'', d -> ''values'' from public.fienta_checks, jsonb_array_elements(drift) as d;'
    from public.fienta_checks as f
    where f.drift_count > 0
      and 'fienta_checks' = any ($1::text[])
)
