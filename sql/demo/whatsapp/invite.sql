-- What a person may type to have a customer answered.
with waiting as (
    select a.id, row_number() over (order by a.id) as nth
    from public.actions as a
    where a.status = 'pending'
)

select
    case w.nth
        when 1 then 'Answer a customer over WhatsApp: approve what was asked for'
        else 'or say it in your own words:'
    end as what,
    case w.nth
        when 1 then format('update actions set status = ''approved'' where id = %s;', w.id)
        else format(
            'update actions set status = ''edited'', user_response = ''We can do half of it.'' where id = %s;', w.id
        )
    end as line
from waiting as w
where w.nth <= 2
union all
select
    'Every customer has been answered; let one ask for something, then approve it:',
    'insert into actions (contact_id, action_type) select id, ''refund_request'' from contacts order by id limit 1 returning id;'
where not exists (select from waiting)
order by line
