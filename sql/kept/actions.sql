-- The indexes of public.actions and the tables beside it, the policy, and the reply templates that ship. Every migrate puts
-- back what somebody dropped, and leaves alone what stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists actions_due_idx on public.actions (next_retry_at, id)
where reply_status in ('pending', 'processing');

-- Whether an earlier reply to the same contact is unfinished.
create index if not exists actions_turn_idx on public.actions (contact_id, requested_at, id)
where reply_status in ('pending', 'processing');

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists actions_stopped_idx on public.actions (id)
where reply_status in ('failed', 'unknown');

create index if not exists action_responses_action_idx on public.action_responses (action_id);
create index if not exists action_responses_message_idx on public.action_responses (whatsapp_message_id);
create unique index if not exists action_responses_reference_key on public.action_responses (reference);

create index if not exists messages_whatsapp_idx on public.messages (whatsapp_message_id)
where whatsapp_message_id is not null;

-- The bubble of an action, of which rowcall makes one where there is none; what is told about it, once a step; and the one message that a request sends.
create index if not exists messages_indicator_idx on public.messages ((metadata ->> 'action_id'))
where message_type = 'action_indicator';
create unique index if not exists messages_bubble_key on public.messages ((metadata ->> 'action_id'))
where message_type = 'action_indicator' and metadata ->> 'made_by' = 'rowcall';
create unique index if not exists messages_update_key on public.messages ((metadata ->> 'reference'), (metadata ->> 'state'))
where message_type = 'action_status_update';
create unique index if not exists messages_reply_key on public.messages ((metadata ->> 'reference'))
where direction = 'outbound';

-- Telephone numbers are compared by their digits.
create index if not exists contacts_digits_idx on public.contacts (regexp_replace(phone, '[^0-9]', '', 'g'));

insert into rowcall.targets (target) values ('whatsapp') on conflict do nothing;

-- 60 a second over all workers; 6 s apart to one contact, 5 at once after a pause; 2 s·2ⁿ up to 10 min between attempts. A
-- status report may settle an unknown reply within minutes.
insert into rowcall.queues (
    queue, target, slots, batch, lease, timeout, retry_delays, max_attempts, rate_per_second, rate_burst, key_interval, key_burst,
    look_after
)
values (
    'actions', 'whatsapp', 60, 200, '3 minutes', '30 seconds',
    '{2 seconds,4 seconds,8 seconds,16 seconds,32 seconds,64 seconds,128 seconds,256 seconds,512 seconds,10 minutes}',
    8, 60, 60, '6 seconds', 5,
    '10 minutes'
)
on conflict do nothing;
