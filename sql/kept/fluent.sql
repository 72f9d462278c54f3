-- The indexes of FluentSupport's tables, the policy, and the words of its tickets that ship. Every migrate puts back what
-- somebody dropped, and leaves alone what stands.

-- The claim reads this in order. The same predicate stands in the claim and in the triggers' WHEN.
create index if not exists fluent_sync_status_due_idx on public.fluent_sync_status (next_retry_at, id)
where status in ('pending', 'running');

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists fluent_sync_status_stopped_idx on public.fluent_sync_status (id)
where status = 'failed';

-- What the syncs so far have covered.
create index if not exists fluent_sync_status_covered_idx on public.fluent_sync_status (completed_at, id)
where status = 'success' and watermark is not null;

-- The last sync, and the last one that worked: what anybody may ask.
create index if not exists fluent_sync_status_last_idx
on public.fluent_sync_status ((coalesce(requested_at, created_at)) desc, id desc);
create index if not exists fluent_sync_status_success_idx on public.fluent_sync_status (completed_at)
where status = 'success';

create index if not exists fluent_tickets_request_idx on public.fluent_tickets (request_id);
create index if not exists fluent_tickets_updated_idx on public.fluent_tickets (ticket_updated_at desc nulls last, fluent_id desc);

insert into rowcall.targets (target) values ('fluent') on conflict do nothing;

-- An operation is one request, so the rate is the site's: 2 a second, one at a time. 1 min·2ⁿ up to 30 min between attempts,
-- 5 of them at one and the same page.
insert into rowcall.queues (
    queue, target, slots, batch, lease, timeout, retry_delays, max_attempts, cluster_slots, rate_per_second
)
values (
    'fluent_sync_status', 'fluent', 1, 100, '5 minutes', '60 seconds',
    '{1 minute,2 minutes,4 minutes,8 minutes,16 minutes,30 minutes}', 5, 1, 2
)
on conflict do nothing;

insert into public.fluent_urgencies (priority, urgency)
values
    ('critical', 'HIGH'),
    ('high', 'HIGH'),
    ('urgent', 'HIGH'),
    ('medium', 'MEDIUM'),
    ('normal', 'MEDIUM'),
    ('low', 'LOW'),
    ('*', 'MEDIUM')
on conflict do nothing;

insert into public.fluent_categories (product, category)
values
    ('support', 'Support'),
    ('hosting', 'Hosting'),
    ('migration', 'Migration'),
    ('website', 'Website'),
    ('email', 'Email'),
    ('forms', 'Forms'),
    ('scripts', 'Scripts'),
    ('advisory', 'Advisory'),
    ('project', 'General'),
    ('general', 'General'),
    ('*', 'Support')
on conflict do nothing;

-- Document 5's daily job; on Sundays it reads every ticket. It comes paused, for the site must be configured first:
-- rowcall schedule resume sync-fluent-tickets. A sync that still waits is not asked for a second time.
insert into rowcall.schedules (name, description, cron, statement, paused, paused_reason)
values (
    'sync-fluent-tickets',
    'Pulls the tickets of FluentSupport that have changed; on Sundays all of them.',
    '0 2 * * *',
    'select rowcall.start_fluent_sync(null, extract(isodow from now()) = 7)',
    true,
    'FluentSupport is not configured yet; set FLUENT_API_URL and the login, then rowcall schedule resume sync-fluent-tickets'
)
on conflict (name) do nothing;
