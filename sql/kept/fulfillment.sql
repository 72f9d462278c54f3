-- The indexes of public.fulfillment_logs and of what suppliers told, the policy, and the settings. Every migrate puts back
-- what somebody dropped, and leaves alone what stands.

-- One for each order, for ever.
create unique index if not exists fulfillment_logs_order_key on public.fulfillment_logs (order_id);

-- The claim reads this in order. The same predicate stands in the claim.
create index if not exists fulfillment_logs_due_idx on public.fulfillment_logs (retry_after, id)
where status in ('pending', 'processing') or (status = 'failed' and retry_after is not null);

-- Whether another purchase for the same number is ahead, or under way; its last nine digits are the number, however written.
create index if not exists fulfillment_logs_ahead_idx
on public.fulfillment_logs (right(regexp_replace(phone_number, '[^0-9]', '', 'g'), 9), created_at, id)
where status in ('pending', 'processing') or (status = 'failed' and retry_after is not null);
create index if not exists fulfillment_logs_under_way_idx
on public.fulfillment_logs (right(regexp_replace(phone_number, '[^0-9]', '', 'g'), 9))
where status = 'processing';

-- What was ordered for a number, lately or ever.
create index if not exists fulfillment_logs_number_idx
on public.fulfillment_logs (right(regexp_replace(phone_number, '[^0-9]', '', 'g'), 9), created_at);

-- What stopped without being done: the rows that a person may want to look at.
create index if not exists fulfillment_logs_stopped_idx on public.fulfillment_logs (id)
where status in ('failed', 'unknown');

-- Reports and exports.
create index if not exists fulfillment_logs_created_idx on public.fulfillment_logs (created_at, id);

-- What a supplier's report is about.
create index if not exists fulfillment_logs_reference_idx on public.fulfillment_logs (reference)
where reference is not null;
create index if not exists fulfillment_logs_asked_as_idx on public.fulfillment_logs (asked_as)
where asked_as is not null;
create index if not exists fulfillment_logs_provider_reference_idx on public.fulfillment_logs (provider_reference)
where provider_reference is not null;

-- The same news once.
create unique index if not exists supplier_reports_news_key on rowcall.supplier_reports (
    profile, coalesce(reference, ''), coalesce(provider_reference, ''), state, coalesce(at, '-infinity')
);
create index if not exists supplier_reports_open_idx on rowcall.supplier_reports (id)
where applied_as is null;
create index if not exists supplier_reports_log_idx on rowcall.supplier_reports (log_id);
create index if not exists supplier_reports_told_idx on rowcall.supplier_reports using brin (told_at) with (autosummarize = on);

insert into rowcall.fulfillment_settings (is_only) values (true) on conflict do nothing;

insert into rowcall.targets (target) values ('supplier') on conflict do nothing;

-- 2 a second over all workers; three attempts, 5 and 15 minutes apart. A fourth, if you allow it, comes after an hour.
insert into rowcall.queues (
    queue, target, slots, batch, lease, timeout, retry_delays, max_attempts, rate_per_second, rate_burst
)
values (
    'fulfillment_logs', 'supplier', 10, 100, '3 minutes', '30 seconds', '{5 minutes,15 minutes,1 hour}', 3, 2, 2
)
on conflict do nothing;
