-- Something of every kind, so that every answer has something to show. Which keys there are, asking.rs knows.
insert into codes (code, status) values ('LIVING', 'active'), ('ASKED', 'creating'), ('GONE', 'deleted');
insert into codes (code, status) select 'ASKED-' || n, 'creating' from generate_series(4, 12) as n;
-- One that is asked for something refuses what does not go with it.
insert into codes (code, status) select 'LIVING-' || n, 'active' from generate_series(1, 60) as n;
insert into orders (id, network, phone_number, package, amount, status) values
    ('0190c2a4-7b1e-7c3d-8f00-000000000001', 'AT-iShare', '0261234567', '1GB', 4.50, 'paid'),
    ('0190c2a4-7b1e-7c3d-8f00-000000000002', 'AT-iShare', '0261234568', '2GB', 9, 'paid');
update fulfillment_logs set status = 'success', fulfilled_at = now() where phone_number = '0261234568';
insert into rowcall.supplier_reports (profile, reference, state, log_id)
select 'default', 'r' || phone_number, 'pending', id from fulfillment_logs;
insert into links (target_url, slug, short_url, status) values ('https://example.com', 'spring-sale', 'http://localhost:8000/l/spring-sale', 'active');
insert into organizations (name) values ('Acme');
insert into contacts (phone, name) values ('+4915100000001', 'Ama');
insert into actions (contact_id, action_type, details) select 1, 'refund_request', '{"item": "tea"}' from generate_series(1, 30);
update actions set status = 'approved' where id between 3 and 12;
update actions set reply_status = 'unknown' where id between 3 and 12;
insert into action_responses (action_id, response_text) values (1, 'It is done');
insert into clients (crm_type, tenant, shop) values ('shopify', null, 'one'), ('commerce7', 'north', null);
insert into club_stages (client_id, name, threshold, tag, crm_club_id) select id, 'Silver', 100, 'Silver', 'c' from clients;
insert into customers (client_id, email, is_member) values (1, 'c@example.com', true);
insert into enrollments (customer_id, stage_id, expires_at) values (1, 1, now() - interval '1 hour');
insert into crm_sync_queue (client_id, customer_id, enrollment_id, action_type, stage_id, status) values
    (1, 1, 1, 'add_membership', 1, 'completed'), (1, 1, 1, 'add_membership', 1, 'pending');
insert into requests (date, time, description, urgency, category, hours) values ('2026-01-02', '10:00', 'It broke', 'HIGH', 'Support', 0.25);
insert into fluent_tickets (fluent_id, request_id, title, status, ticket_updated_at) values (7, 1, 'Help', 'closed', now());
insert into fluent_sync_status (status, completed_at, sync_duration, tickets_fetched) values ('success', now(), 12, 1);
insert into rowcall.workers (id, host, pid, version, queues) values (gen_random_uuid(), 'here', 7, '1', '{codes}');
update rowcall.workers set heartbeat_at = now() - interval '1 minute';
insert into rowcall.schedule_runs (schedule_id, schedule, status, statement, atomic, timeout, token, worker, running_until, ended_at, rows)
select id, name, 'done', statement, true, '1 minute', gen_random_uuid(), gen_random_uuid(), now(), now(), 1 from rowcall.schedules;
insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, duration)
select q.queue, '1', 1, 1, s.word, 'why', '{"a": 1}', interval '1 second'
from rowcall.queues as q, unnest('{done,retry,failed,wait,unknown,superseded,lost,cancelled}'::text[]) as s (word);
insert into rowcall.attempts (queue, key, generation, attempt, settled_as)
select 'fulfillment_logs', id::text, 1, 1, 'retry' from fulfillment_logs;
