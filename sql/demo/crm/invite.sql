-- What a person may type to have somebody buy, to let a year pass, and to look at it. {fake} is the fake's address.
with number as (
    select 1001 + count(*) as next
    from public.crm_orders
)

select l.what, l.line
from (
    select
        1 as nth,
        'A paid order comes in: Shopify tells of it by webhook, and who paid enough becomes a member' as what,
        format(
            'curl -H content-type:application/json -d ''[{"crm_type": "shopify", "tenant": "north", "event": "orders/paid", "order": {"id": %s, "total_price": "150.00", "currency": "USD", "financial_status": "paid", "email": "ada@example.com"}}]'' {fake}/_control/webhooks',
            n.next
        ) as line
    from number as n
    union all
    select
        2,
        'and a larger one, in Commerce7, which rowcall asks about it before it believes anything:',
        format(
            'curl -H content-type:application/json -d ''[{"crm_type": "commerce7", "tenant": "north", "event": "Order/Update", "order": {"id": "order-%s", "total": 60000, "paymentStatus": "Paid", "customer": {"emails": [{"email": "ben@example.com"}]}}}]'' {fake}/_control/webhooks',
            n.next
        )
    from number as n
    union all
    select
        3,
        'A year passes: what the schedule does every night ends the memberships',
        'update enrollments set expires_at = now() - interval ''1 second'' where status = ''active'';   select * from process_expired_enrollments();'
    union all
    select
        4,
        'Look:',
        'select id, action_type, status, error_message from crm_sync_queue;   table enrollments;   table rowcall.schedule_health;'
) as l
order by l.nth
