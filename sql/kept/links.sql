-- The indexes of public.links, and the policy. Every migrate puts back what somebody dropped, and leaves alone what stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists links_due_idx on public.links (next_retry_at, id)
where status = 'creating';

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists links_stopped_idx on public.links (id)
where error_message is not null and status = 'failed';

-- A visitor brings a slug. That no two links have the same is promised here, whoever writes them.
create unique index if not exists links_slug_key on public.links (slug);

insert into rowcall.targets (target) values ('links') on conflict do nothing;

-- Nothing outside is called: a link is checked and minted, as fast as rows are written.
insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays)
values ('links', 'links', 20, 200, '1 minute', '10 seconds', '{5 seconds,30 seconds,2 minutes}')
on conflict do nothing;
