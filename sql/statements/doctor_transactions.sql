-- Doctor: what keeps vacuum from cleaning queue tables, which get a dead row version by every claim and settle.
-- An idle transaction of 5 min is forgotten; one that works may be a report or a dump, and gets an hour.
select
    'transactions' as subject,
    case
        when a.state like 'idle%' or a.xact_start < now() - interval '1 hour' then 'problem'
        else 'note'
    end as state,
    format(
        'process %s (%s, role %s, %s) is in a transaction since %s min and holds back vacuum',
        a.pid,
        coalesce(nullif(a.application_name, ''), 'no application_name'),
        a.usename,
        a.state,
        floor(extract(epoch from now() - a.xact_start) / 60)
    ) as found,
    format('select pg_terminate_backend(%s);', a.pid) as mend
from pg_stat_activity as a
where a.datname = current_database()
  and a.backend_type = 'client backend'
  and a.xact_start < now() - interval '5 minutes'
  and (a.backend_xid is not null or a.backend_xmin is not null or a.state like 'idle%')
union all
select
    'transactions',
    'problem',
    format(
        'the prepared transaction %s (role %s) waits since %s min and holds back vacuum',
        p.gid,
        p.owner,
        floor(extract(epoch from now() - p.prepared) / 60)
    ),
    format('rollback prepared %L;', p.gid)
from pg_prepared_xacts as p
where p.database = current_database()
  and p.prepared < now() - interval '5 minutes'
union all
select
    'transactions',
    'problem',
    format('the notification queue is %s %% full; when it is full, every commit that rings fails', round(100 * u.used)),
    'end the session that listens inside a long transaction: see pg_stat_activity'
from (select pg_notification_queue_usage()::numeric as used) as u
where u.used > 0.5
