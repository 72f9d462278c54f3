-- Whether the customer with the e-mail address $1 has exactly the enrollments $2, oldest first, is a member or not: $3, and has
-- $4 finished changes in the queue and none that is not.
select c.is_member::text = $3::text
    and (
        select string_agg(format('%s %s', t.name, e.status), ', ' order by e.id)
        from public.enrollments as e
        join public.club_stages as t on t.id = e.stage_id
        where e.customer_id = c.id
    ) = $2::text
    and (
        select count(*)::text = $4::text and bool_and(q.status = 'completed')
        from public.crm_sync_queue as q
        where q.customer_id = c.id
    )
from public.customers as c
where c.email = $1::text
