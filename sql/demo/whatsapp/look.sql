-- The actions with the keys $1 and their bubbles, as the demo shows them before and after.
select
    format('%s #%s', a.action_type, a.id) as action,
    a.status,
    a.reply_status,
    b.metadata ->> 'state' as bubble,
    a.error_message
from public.actions as a
left join public.messages as b on b.message_type = 'action_indicator' and b.metadata ->> 'action_id' = a.id::text
where a.id::text = any ($1::text[])
order by a.id
