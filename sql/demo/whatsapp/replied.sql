-- Whether the reply to the action $1 stands at $2, its bubble says $3, and the conversation holds $4 messages that were sent
-- for it.
select a.reply_status = $2::text
    and b.metadata ->> 'state' = $3::text
    and (
        select count(*)::text
        from public.messages as m
        where m.direction = 'outbound'
          and m.metadata ->> 'action_id' = $1
    ) = $4::text
from public.actions as a
join public.messages as b on b.message_type = 'action_indicator' and b.metadata ->> 'action_id' = $1
where a.id::text = $1::text
