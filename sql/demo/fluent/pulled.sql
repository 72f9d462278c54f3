-- Whether the sync $1 worked and added $2, updated $3 and skipped $4 tickets, each ticket that is known is one request, and
-- nothing is left of what was read.
select s.status = 'success'
    and s.error_message is null
    and (s.tickets_added, s.tickets_updated, s.tickets_skipped) = ($2::text::integer, $3::text::integer, $4::text::integer)
    and (select count(*) = count(distinct t.request_id) from public.fluent_tickets as t)
    and not exists (
        select
        from public.requests as r
        where r.source = 'fluent'
          and not exists (select from public.fluent_tickets as t where t.request_id = r.id)
    )
    and not exists (select from rowcall.fluent_pages)
from public.fluent_sync_status as s
where s.id::text = $1::text
