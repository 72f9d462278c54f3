-- Doctor: triggers that do not fire and indexes that are not used. What is missing or changed, the fingerprints tell.
select
    'triggers' as subject,
    'problem' as state,
    format('%s on %s is disabled: requests are not stamped or not rung', t.tgname, t.tgrelid::regclass) as found,
    format('alter table %s enable trigger %I;', t.tgrelid::regclass, t.tgname) as mend
from pg_trigger as t
join pg_proc as p on p.oid = t.tgfoid
where p.pronamespace = 'rowcall'::regnamespace
  and not t.tgisinternal
  and t.tgenabled in ('D', 'R')
union all
select
    'indexes',
    'problem',
    format('%s is invalid: building it did not end', i.indexrelid::regclass),
    format('reindex index concurrently %s;', i.indexrelid::regclass)
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
join rowcall.installed as s on s.object = 'index ' || n.nspname || '.' || c.relname
where not i.indisvalid
order by 1, 3
