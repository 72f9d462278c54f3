-- What every migrate puts back where somebody dropped it: indexes, and the policy without which no worker starts.

create index if not exists codes_due_idx on public.codes (next_retry_at, id)
where status in ('creating', 'updating', 'deleting', 'renaming');

create index if not exists codes_stopped_idx on public.codes (id)
where error_message is not null and status not in ('creating', 'updating', 'deleting', 'renaming');

insert into rowcall.targets (target) values ('fienta') on conflict do nothing;

insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays, cluster_slots, rate_per_second)
values ('codes', 'fienta', 1, 100, '10 minutes', '180 seconds', '{30 seconds,1 minute,2 minutes,4 minutes}', 1, 2)
on conflict do nothing;
