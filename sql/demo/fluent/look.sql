-- The syncs with the keys $1, as the demo shows them before and after.
select
    case when s.is_full then 'all tickets' else 'changed tickets' end as sync,
    s.status,
    s.pages_read::text as pages,
    s.tickets_fetched::text as fetched,
    s.tickets_added::text as added,
    s.tickets_updated::text as updated,
    s.tickets_skipped::text as skipped,
    s.error_message
from public.fluent_sync_status as s
where s.id::text = any ($1::text[])
order by s.id
