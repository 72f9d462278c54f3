-- The triggers of public.crm_sync_queue, public.crm_orders and public.enrollments, in firing order.

-- Completes a row as document 4 writes it: whose enrollment it is, and of which tier; or whose id in the CRM. A row whose
-- customer is not known runs all the same, so a role that may not look is no reason to fail.
create or replace function rowcall.complete_crm_request() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
declare
    known record;
begin
    begin
        select e.customer_id, e.stage_id
        into known
        from public.enrollments as e
        where e.id = new.enrollment_id;
        new.customer_id := coalesce(new.customer_id, known.customer_id);
        new.stage_id := coalesce(new.stage_id, known.stage_id);
        if new.customer_id is null then
            new.customer_id := (
                select u.id
                from public.customers as u
                where u.client_id = new.client_id
                  and u.crm_customer_id = new.customer_crm_id
                order by u.id
                limit 1
            );
        end if;
    exception when insufficient_privilege then
        null;
    end;
    return new;
end
$$;

create or replace trigger _050_complete_insert
before insert on public.crm_sync_queue
for each row
when (new.customer_id is null or (new.stage_id is null and new.enrollment_id is not null))
execute function rowcall.complete_crm_request();

-- Another change than the one that was begun: nothing of it is done yet.
create or replace function rowcall.forget_crm_steps() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
    new.steps := '{}';
    new.crm_membership_id := null;
    return new;
end
$$;

create or replace trigger _050_forget_update
before update of action_type, stage_id, old_stage_id, customer_id on public.crm_sync_queue
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (
        new.action_type is distinct from old.action_type
        or new.stage_id is distinct from old.stage_id
        or new.old_stage_id is distinct from old.old_stage_id
        or new.customer_id is distinct from old.customer_id
    )
)
execute function rowcall.forget_crm_steps();

create or replace trigger _100_stamp_insert
before insert on public.crm_sync_queue
for each row
when (new.status in ('pending', 'processing') and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due states counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status, action_type, stage_id, old_stage_id, client_id, customer_id, enrollment_id, customer_crm_id
on public.crm_sync_queue
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status in ('pending', 'processing') or old.status in ('pending', 'processing'))
    and (
        new.status is distinct from old.status
        or new.action_type is distinct from old.action_type
        or new.stage_id is distinct from old.stage_id
        or new.old_stage_id is distinct from old.old_stage_id
        or new.client_id is distinct from old.client_id
        or new.customer_id is distinct from old.customer_id
        or new.enrollment_id is distinct from old.enrollment_id
        or new.customer_crm_id is distinct from old.customer_crm_id
    )
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.crm_sync_queue
for each row
when (new.status in ('pending', 'processing'))
execute function rowcall.ring('crm_sync_queue');

create or replace trigger _900_ring_update
after update of status, action_type, stage_id, old_stage_id, client_id, customer_id, enrollment_id, customer_crm_id
on public.crm_sync_queue
for each row
when (
    new.status in ('pending', 'processing')
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('crm_sync_queue');

create or replace trigger _100_stamp_insert
before insert on public.crm_orders
for each row
when (new.status in ('asked', 'fetching') and new.claim_token is null)
execute function rowcall.stamp();

-- Another webhook about the same order asks anew, also while it is being read.
create or replace trigger _100_stamp_update
before update of status, webhook_id, event on public.crm_orders
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status in ('asked', 'fetching') or old.status in ('asked', 'fetching'))
    and (
        new.status is distinct from old.status
        or new.webhook_id is distinct from old.webhook_id
        or new.event is distinct from old.event
    )
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.crm_orders
for each row
when (new.status in ('asked', 'fetching'))
execute function rowcall.ring('crm_orders');

create or replace trigger _900_ring_update
after update of status, webhook_id, event on public.crm_orders
for each row
when (
    new.status in ('asked', 'fetching')
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('crm_orders');

-- Its own expiries and upgrades have other words.
create or replace trigger _500_end_update
after update of status on public.enrollments
for each row
when (old.status = 'active' and new.status = 'cancelled')
execute function rowcall.end_membership();
