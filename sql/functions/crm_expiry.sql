-- What expires: enrollments whose time is over, the flags of their customers, and the memberships that end with them.

-- Expires what is due, in three statements over all of it. Whoever is being enrolled at this moment has their row locked and
-- is left to the next run. A membership is not ended while another active enrollment keeps the same club.
create or replace function rowcall.process_expired_enrollments(
    out expired integer, out customers_updated integer, out queued integer
)
language plpgsql
set search_path = pg_catalog
as $$
declare
    ended rowcall.enrollments_key[];
    whose rowcall.customers_key[];
begin
    with due as materialized (
        select e.id, e.customer_id
        from public.enrollments as e
        join public.customers as u on u.id = e.customer_id
        where e.status = 'active'
          and e.expires_at < now()
        order by e.id
        for no key update of e, u skip locked
    ),

    marked as (
        update public.enrollments as e
        set status = 'expired',
            ended_at = now()
        from due as d
        where e.id = d.id
    )

    select coalesce(array_agg(d.id), '{}'), coalesce(array_agg(distinct d.customer_id), '{}')
    into ended, whose
    from due as d;
    expired := cardinality(ended);

    -- A statement of its own, with a snapshot from after the locks.
    update public.customers as u
    set is_member = false,
        member_since = null,
        updated_at = now()
    where u.id = any (whose)
      and u.is_member
      and not exists (
          select
          from public.enrollments as e
          where e.customer_id = u.id
            and e.status = 'active'
      );
    get diagnostics customers_updated = row_count;

    insert into public.crm_sync_queue (
        client_id, customer_id, enrollment_id, action_type, stage_id, customer_crm_id, reason, crm_membership_id, created_at
    )
    -- The order of a customer's rows is that in which their lock was held, not that in which transactions began.
    select
        x.client_id, x.customer_id, x.enrollment_id, 'cancel_membership', x.stage_id, x.crm_customer_id,
        'the enrollment expired', x.crm_membership_id, clock_timestamp()
    from rowcall.expiring(ended) as x
    where x.ends_membership;
    get diagnostics queued = row_count;
end
$$;

-- A person ends an enrollment by its status: the flag of its customer and the membership end as when it expires.
create or replace function rowcall.end_membership() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    -- First, so that the row's time and what it sees are of after the lock.
    perform from public.customers as u where u.id = new.customer_id for no key update;
    update public.enrollments as e
    set ended_at = now()
    where e.id = new.id
      and e.ended_at is null;
    update public.customers as u
    set is_member = false,
        member_since = null,
        updated_at = now()
    where u.id = new.customer_id
      and u.is_member
      and not exists (
          select
          from public.enrollments as e
          where e.customer_id = u.id
            and e.status = 'active'
      );
    insert into public.crm_sync_queue (
        client_id, customer_id, enrollment_id, action_type, stage_id, customer_crm_id, reason, crm_membership_id, created_at
    )
    select
        x.client_id, x.customer_id, x.enrollment_id, 'cancel_membership', x.stage_id, x.crm_customer_id,
        'the enrollment was cancelled', x.crm_membership_id, clock_timestamp()
    from rowcall.expiring(array[new.id]::rowcall.enrollments_key[]) as x
    where x.ends_membership;
    return null;
end
$$;

-- These enrollments, and whether the membership in the CRM ends with them.
create or replace function rowcall.expiring(ended rowcall.enrollments_key[])
returns table (
    client_id rowcall.clients_key,
    customer_id rowcall.customers_key,
    enrollment_id rowcall.enrollments_key,
    stage_id rowcall.club_stages_key,
    crm_customer_id text,
    crm_membership_id text,
    expires_at timestamptz,
    ends_membership boolean
)
language sql
stable
set search_path = pg_catalog
as $$
    select
        u.client_id, u.id, e.id, e.stage_id, u.crm_customer_id, e.crm_membership_id, e.expires_at,
        not exists (
            select
            from public.enrollments as o
            join public.club_stages as t on t.id = o.stage_id
            where o.customer_id = e.customer_id
              and o.status = 'active'
              and o.id <> e.id
              and not (o.expires_at is not null and o.expires_at < now())
              and (t.id = s.id or rowcall.is_same_club(c.crm_type, s.crm_club_id, s.tag, t.crm_club_id, t.tag))
        )
    from unnest(ended) as x (id)
    join public.enrollments as e on e.id = x.id
    join public.customers as u on u.id = e.customer_id
    join public.club_stages as s on s.id = e.stage_id
    join public.clients as c on c.id = u.client_id
$$;

-- What the run of now would do. Changes nothing.
create or replace function rowcall.test_process_expired_enrollments()
returns table (
    enrollment_id rowcall.enrollments_key,
    customer_id rowcall.customers_key,
    client_id rowcall.clients_key,
    stage text,
    expires_at timestamptz,
    would_end_flags boolean,
    would_queue text
)
language sql
stable
set search_path = pg_catalog
as $$
    select
        x.enrollment_id, x.customer_id, x.client_id, s.name, x.expires_at,
        u.is_member
            and not exists (
                select
                from public.enrollments as o
                where o.customer_id = x.customer_id
                  and o.status = 'active'
                  and (o.expires_at is null or o.expires_at >= now())
            ),
        case when x.ends_membership then 'cancel_membership' end
    from rowcall.expiring(array(
        select e.id from public.enrollments as e where e.status = 'active' and e.expires_at < now()
    )) as x
    join public.customers as u on u.id = x.customer_id
    join public.club_stages as s on s.id = x.stage_id
    order by x.expires_at, x.enrollment_id
$$;

-- Rings for the queue, and counts what became of its attempts in the last five minutes: the worker does them as they come,
-- without being told to.
create or replace function rowcall.process_crm_sync_queue(
    out processed integer, out succeeded integer, out failed integer
)
language plpgsql
set search_path = pg_catalog
as $$
begin
    perform pg_notify('rowcall', 'crm_sync_queue');
    select
        count(*),
        count(*) filter (where a.settled_as = 'done'),
        count(*) filter (where a.settled_as in ('retry', 'failed', 'unknown'))
    into processed, succeeded, failed
    from rowcall.attempts as a
    where a.queue = 'crm_sync_queue'
      and a.settled_as in ('done', 'retry', 'failed', 'unknown')
      and a.settled_at > now() - interval '5 minutes';
end
$$;

-- Under the names that their users know. They run as their owner, who may use the schema rowcall; who may call them stands
-- in sql/supabase/grants.sql.
create or replace function public.process_expired_enrollments()
returns table (expired integer, customers_updated integer, queued integer)
language sql
security definer
set search_path = ''
as $$
    select p.expired, p.customers_updated, p.queued from rowcall.process_expired_enrollments() as p
$$;

create or replace function public.test_process_expired_enrollments()
returns table (
    enrollment_id rowcall.enrollments_key,
    customer_id rowcall.customers_key,
    client_id rowcall.clients_key,
    stage text,
    expires_at timestamptz,
    would_end_flags boolean,
    would_queue text
)
language sql
stable
security definer
set search_path = ''
as $$
    select * from rowcall.test_process_expired_enrollments()
$$;

create or replace function public.process_crm_sync_queue()
returns table (processed integer, succeeded integer, failed integer)
language sql
security definer
set search_path = ''
as $$
    select p.processed, p.succeeded, p.failed from rowcall.process_crm_sync_queue() as p
$$;
