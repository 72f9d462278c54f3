-- Whose turn it is among a customer's rows of crm_sync_queue, and whether a row is still wanted when its turn comes.

-- The row of the same customer that this one waits for: an earlier one, or one that still runs, whatever somebody has made of
-- its status since; null when it waits for none. A customer whom rowcall does not know is one by the CRM's id.
create or replace function rowcall.crm_row_before(q public.crm_sync_queue) returns rowcall.crm_sync_queue_key
language plpgsql
stable
set search_path = pg_catalog
as $$
declare
    o record;
begin
    -- The same predicate stands in the indexes.
    for o in
        select r.id, r.status, r.created_at, r.claimed_by, r.claimed_until
        from public.crm_sync_queue as r
        where r.customer_id = q.customer_id
          and (r.status in ('pending', 'processing') or r.claimed_until is not null)
          and r.id <> q.id
        union all
        select r.id, r.status, r.created_at, r.claimed_by, r.claimed_until
        from public.crm_sync_queue as r
        where q.customer_id is null
          and r.customer_id is null
          and r.client_id = q.client_id
          and r.customer_crm_id = q.customer_crm_id
          and (r.status in ('pending', 'processing') or r.claimed_until is not null)
          and r.id <> q.id
    loop
        if o.status = 'processing' or (o.status = 'pending' and (o.created_at, o.id) < (q.created_at, q.id)) then
            return o.id;
        elsif o.claimed_until > statement_timestamp() and not exists (
            select
            from rowcall.workers as w
            where w.id = o.claimed_by
              and w.heartbeat_at <= statement_timestamp() - interval '15 seconds'
        ) then
            return o.id;
        end if;
    end loop;
    return null;
end
$$;

-- Why what a row asks for is not wanted any more, in words; null while it is. It may have waited long, or been asked for
-- again by somebody who did not look: a member who has paid again is not cancelled, and nobody is added whose time is over.
create or replace function rowcall.crm_unwanted(
    operation text, customer rowcall.customers_key, enrollment rowcall.enrollments_key, stage rowcall.club_stages_key
) returns text
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    if operation <> 'cancel_membership' then
        return (
            select format('not wanted any more: the enrollment is %s', e.status)
            from public.enrollments as e
            where e.id = enrollment
              and rowcall.has_ended(e.status)
        );
    end if;
    -- Who cancels without naming an enrollment, or one that is active, means it.
    return (
        select format('not wanted any more: enrollment %s keeps the membership', o.id)
        from public.enrollments as o
        join public.club_stages as t on t.id = o.stage_id
        join public.club_stages as s on s.id = stage
        join public.clients as c on c.id = s.client_id
        where o.customer_id = customer
          and o.status = 'active'
          and o.id <> enrollment
          and not (o.expires_at is not null and o.expires_at < now())
          and (t.id = s.id or rowcall.is_same_club(c.crm_type, s.crm_club_id, s.tag, t.crm_club_id, t.tag))
        order by o.id
        limit 1
    );
end
$$;

-- What a row comes to: an upgrade whose enrollment has ended leaves the old tier and joins none.
create or replace function rowcall.crm_operation(action_type text, enrollment rowcall.enrollments_key) returns text
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    if action_type = 'upgrade_membership'
        and exists (select from public.enrollments as e where e.id = enrollment and rowcall.has_ended(e.status))
    then
        return 'cancel_membership';
    end if;
    return action_type;
end
$$;

-- Whether an enrollment of this status is over.
create or replace function rowcall.has_ended(status text) returns boolean
language sql
immutable
parallel safe
return status in ('expired', 'upgraded', 'cancelled');
