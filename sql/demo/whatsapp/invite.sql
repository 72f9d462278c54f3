-- What a person may type to have a customer answered, and to look at it.
with waiting as (
    select a.id, row_number() over (order by a.id) as nth
    from public.actions as a
    where a.status = 'pending'
)

select l.what, l.line
from (
    select
        w.nth,
        'Answer a customer over WhatsApp: approve what was asked for' as what,
        format('update actions set status = ''approved'' where id = %s;', w.id) as line
    from waiting as w
    where w.nth = 1
    union all
    select
        w.nth,
        'or say it in your own words:',
        format('update actions set status = ''edited'', user_response = ''We can do half of it.'' where id = %s;', w.id)
    from waiting as w
    where w.nth = 2
    union all
    select
        1,
        'Every customer has been answered; let one ask for something more, and approve that:',
        'insert into actions (contact_id, action_type) select id, ''refund_request'' from contacts order by id limit 1 returning id;'
    where not exists (select from waiting)
    union all
    select
        3,
        'Look:',
        'select id, action_type, status, reply_status, error_message from actions;   table action_responses;'
) as l
order by l.nth
