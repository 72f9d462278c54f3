-- The changes of memberships with the keys $1, as the demo shows them before and after.
select
    format('%s #%s', q.action_type, q.id) as change,
    c.email as customer,
    t.name as tier,
    q.status,
    e.status as enrollment,
    q.error_message
from public.crm_sync_queue as q
join public.customers as c on c.id = q.customer_id
join public.club_stages as t on t.id = q.stage_id
left join public.enrollments as e on e.id = q.enrollment_id
where q.id::text = any ($1::text[])
order by q.id
