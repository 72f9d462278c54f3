-- The index of public.fienta_checks, its one row, the policy, and the schedule. Every migrate puts back what somebody dropped, and
-- leaves alone what stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists fienta_checks_due_idx on public.fienta_checks (next_retry_at, id)
where status = 'checking';

insert into public.fienta_checks (name) values ('codes') on conflict do nothing;

-- By the account of codes and orders, in its turn among them.
insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays, max_attempts, cluster_slots, rate_per_second)
values ('fienta_checks', 'fienta', 1, 1, '10 minutes', '180 seconds', '{1 minute,5 minutes}', 3, 1, 2)
on conflict do nothing;

insert into rowcall.schedules (name, description, cron, statement)
values (
    'check-fienta-codes', 'Compares the codes here with those in Fienta, and changes nothing.', '*/15 * * * *',
    'select rowcall.check_codes_now()'
)
on conflict (name) do nothing;
