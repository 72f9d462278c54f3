-- The indexes of public.codes, and the policy without which no worker starts. Every migrate puts back what somebody
-- dropped, and leaves alone what stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists codes_due_idx on public.codes (next_retry_at, id)
where status in ('creating', 'updating', 'deleting', 'renaming');

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists codes_stopped_idx on public.codes (id)
where error_message is not null and status not in ('creating', 'updating', 'deleting', 'renaming');

insert into rowcall.targets (target) values ('fienta') on conflict do nothing;

-- One operation at a time over all workers and 0.5 s apart; 180 s each; 30 s·2ⁿ between attempts.
insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays, cluster_slots, rate_per_second)
values ('codes', 'fienta', 1, 100, '10 minutes', '180 seconds', '{30 seconds,1 minute,2 minutes,4 minutes}', 1, 2)
on conflict do nothing;
