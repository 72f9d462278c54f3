-- The indexes of the tables of memberships, and the policies of their two queues. Every migrate puts back what somebody
-- dropped, and leaves alone what stands.

-- The claim takes of each client what comes first. The same predicates stand in the claims and in the triggers' WHEN.
create index if not exists crm_sync_queue_pending_idx on public.crm_sync_queue (client_id, priority desc, next_retry_at, id)
where status = 'pending';

-- What probes an account's open breaker.
create index if not exists crm_sync_queue_probe_idx
on public.crm_sync_queue (client_id, last_attempt_at nulls first, priority desc, next_retry_at, id)
where status = 'pending';

create index if not exists crm_sync_queue_processing_idx on public.crm_sync_queue (id)
where status = 'processing';

-- Whether an earlier row of the same customer is unfinished, or any still runs.
create index if not exists crm_sync_queue_customer_idx on public.crm_sync_queue (customer_id)
where status in ('pending', 'processing') or claimed_until is not null;

create index if not exists crm_sync_queue_stranger_idx on public.crm_sync_queue (client_id, customer_crm_id)
where customer_id is null and (status in ('pending', 'processing') or claimed_until is not null);

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists crm_sync_queue_failed_idx on public.crm_sync_queue (id)
where status = 'failed';

create index if not exists crm_sync_queue_enrollment_idx on public.crm_sync_queue (enrollment_id);

create index if not exists crm_orders_asked_idx on public.crm_orders (client_id, next_retry_at, id)
where status = 'asked';

create index if not exists crm_orders_fetching_idx on public.crm_orders (id)
where status = 'fetching';

create index if not exists crm_orders_failed_idx on public.crm_orders (id)
where status = 'failed';

create index if not exists crm_orders_customer_idx on public.crm_orders (customer_id);

-- Who ordered, by the CRM's id, else by the e-mail address.
create index if not exists customers_crm_idx on public.customers (client_id, crm_customer_id);
create index if not exists customers_email_idx on public.customers (client_id, lower(email));

-- What expires, and what a customer has.
create index if not exists enrollments_expiry_idx on public.enrollments (expires_at)
where status = 'active';
create index if not exists enrollments_customer_idx on public.enrollments (customer_id);

create index if not exists crm_notices_heard_at_idx on rowcall.crm_notices (heard_at);

insert into rowcall.targets (target) values ('crm') on conflict do nothing;

-- 2ⁿ minutes between the attempts, of which a row has five unless its max_attempts says otherwise; the pace is each account's, see
-- rowcall.targets.
insert into rowcall.queues (queue, target, slots, batch, lease, timeout, retry_delays, part_slots)
values
    (
        'crm_sync_queue', 'crm', 20, 100, '5 minutes', '1 minute',
        '{1 minute,2 minutes,4 minutes,8 minutes,16 minutes,32 minutes,64 minutes,128 minutes,256 minutes,512 minutes,1024 minutes}', 5
    ),
    ('crm_orders', 'crm', 10, 100, '5 minutes', '30 seconds', '{1 minute,2 minutes,4 minutes,8 minutes,16 minutes}', 2)
on conflict do nothing;

-- Document 4's daily job, under its name. One that is deleted comes back: to put it out of use, pause it. Its other job,
-- process-crm-sync-queue every five minutes, has nothing left to do: the worker is told of every row as it comes.
insert into rowcall.schedules (name, description, cron, statement)
values (
    'process-expired-enrollments', 'Expires enrollments whose time is over, and ends their memberships.', '0 2 * * *',
    'select * from public.process_expired_enrollments()'
)
on conflict (name) do nothing;
