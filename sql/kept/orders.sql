-- The indexes of public.orders for what is asked of orders, and the policy. Every migrate puts back what somebody dropped, and
-- leaves alone what stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists orders_due_idx on public.orders (next_retry_at, id)
where status = 'updating';

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists orders_stopped_idx on public.orders (id)
where error_message is not null and status <> 'updating';

-- Looked at while others read and write.
do $$
declare
    unseen text;
begin
    for unseen in
        select c.conname
        from pg_constraint as c
        where c.conrelid = 'public.orders'::regclass
          and c.conname in ('orders_counts_are_sane', 'orders_claim_is_whole')
          and not c.convalidated
    loop
        execute format('alter table public.orders validate constraint %I', unseen);
    end loop;
end
$$;

-- By the account of the codes: one operation at a time for both, over all workers, and 0.5 s apart.
insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays, cluster_slots, rate_per_second)
values ('orders', 'fienta', 1, 100, '10 minutes', '180 seconds', '{30 seconds,1 minute,2 minutes,4 minutes}', 1, 2)
on conflict do nothing;
