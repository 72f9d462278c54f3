-- The indexes of public.organizations, and the policy. Every migrate puts back what somebody dropped, and leaves alone what
-- stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists organizations_due_idx on public.organizations (next_retry_at, id)
where status = 'syncing';

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists organizations_stopped_idx on public.organizations (id)
where error_message is not null and status <> 'syncing';

insert into rowcall.targets (target) values ('organizations') on conflict do nothing;

-- The schedule of Standard Webhooks: ten attempts within three days and a half.
insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays)
values (
    'organizations', 'organizations', 5, 100, '2 minutes', '20 seconds',
    '{5 seconds,5 minutes,30 minutes,2 hours,5 hours,10 hours,14 hours,20 hours,24 hours}'
)
on conflict do nothing;
