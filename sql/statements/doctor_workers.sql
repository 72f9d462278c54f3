-- Doctor: who works the queues $1, and what dead workers hold.
with alive as (
    select w.*
    from rowcall.workers as w
    where w.heartbeat_at > now() - interval '15 seconds'
),

queue as (
    select
        q.name,
        exists (select from alive as a where q.name = any (a.queues) and not a.draining) as is_served,
        (
            select count(*)
            from rowcall.work as w
            where w.queue = q.name
              and w.state in ('asked', 'running', 'waiting')
        ) as unfinished,
        (
            select count(*)
            from rowcall.work as w
            where w.queue = q.name
              and w.claimed_until > now()
              and w.claimed_by not in (select a.id from alive as a)
        ) as held_by_dead
    from unnest($1::text[]) as q (name)
)

select
    'workers' as subject,
    'ok' as state,
    format(
        '%s alive: %s', count(*), string_agg(format('%s/%s (%s)', a.host, a.pid, a.version), ', ' order by a.started_at)
    ) as found,
    null as mend
from alive as a
having count(*) > 0
union all
select
    'workers',
    case when sum(q.unfinished) > 0 then 'problem' else 'note' end,
    format('no worker is alive; %s rows are asked for and not done', sum(q.unfinished)),
    'start one: rowcall run'
from queue as q
where not exists (select from alive as a)
having count(*) > 0
union all
select
    'workers',
    case when q.unfinished > 0 then 'problem' else 'note' end,
    format('no live worker has the settings for %s; %s rows are asked for and not done', q.name, q.unfinished),
    format('start one whose ROWCALL_QUEUES includes %s, with the settings of its provider', q.name)
from queue as q
where not q.is_served
  and exists (select from alive as a)
union all
select
    'workers',
    case when q.is_served then 'note' else 'problem' end,
    format('dead workers hold %s rows of %s', q.held_by_dead, q.name),
    case
        when q.is_served then 'nothing to do: live workers take them over within seconds'
        else 'start one: rowcall run (it takes them over at once, and verifies what it cannot know)'
    end
from queue as q
where q.held_by_dead > 0
union all
select
    'workers',
    'note',
    format('workers of different versions are alive: %s', string_agg(distinct a.version, ', ')),
    'restart the older ones'
from alive as a
having count(distinct a.version) > 1
