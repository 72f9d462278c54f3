-- Doctor: tables of queues $1 whose row level security is off. Those that were there before rowcall may be meant so.
select
    'row security' as subject,
    case when a.table_name is null then 'problem' else 'note' end as state,
    format('it is off for %s: whoever may read the table reads every row', c.oid::regclass) as found,
    format('alter table %s enable row level security;', c.oid::regclass) as mend
from pg_class as c
left join rowcall.adopted as a on a.table_name = c.relname
where c.relnamespace = 'public'::regnamespace
  and c.relname = any ($1::text[] || case when 'fulfillment_logs' = any ($1::text[]) then array['orders'] end)
  and not c.relrowsecurity
order by 3
