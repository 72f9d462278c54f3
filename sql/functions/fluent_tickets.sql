-- Writes tickets: what a sync has read becomes requests.

-- The columns in which a request is not as its ticket has it.
create or replace function rowcall.request_differences(request record, ticket record) returns text[]
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return array_remove(array[
        case when request.category is distinct from ticket.category then 'category' end,
        case when request.date is distinct from ticket.date then 'date' end,
        case when request.description is distinct from ticket.description then 'description' end,
        case when request.time is distinct from ticket.time then 'time' end,
        case when request.urgency is distinct from ticket.urgency then 'urgency' end,
        case when request.website_url is distinct from ticket.website_url then 'website_url' end
    ], null);
end
$$;

-- What tickets, in a page as the integration tells it, are numbered.
create or replace function rowcall.ticket_numbers(tickets jsonb) returns bigint[]
language sql
immutable
set search_path = pg_catalog
as $$
    select coalesce(array_agg((t.ticket ->> 'id')::bigint), '{}')
    from jsonb_array_elements(tickets) as t (ticket)
$$;

-- How many tickets a sync has read; one that was read twice is one.
create or replace function rowcall.count_fluent_tickets(
    wanted_sync text, wanted_generation integer, last_page jsonb
) returns integer
language sql
stable
set search_path = pg_catalog
as $$
    select count(*)
    from (
        select i.id
        from rowcall.fluent_pages as p
        cross join unnest(p.ids) as i (id)
        where p.sync_id = wanted_sync::rowcall.fluent_sync_status_key
          and p.generation = wanted_generation
        union
        select i.id
        from unnest(rowcall.ticket_numbers(last_page)) as i (id)
    ) as ids
$$;

-- Writes everything that a sync has read and not written, and `last_page`, which it read just now: all of it, or nothing.
-- Called by the statement that settles the sync, at its end with `is_end`. `fetched` are all tickets that the sync has read,
-- `unseen` those that are known here and were not read; `added` and `updated` are of this call.
--
-- A ticket is known by its number. A new one becomes a request, if the date filter wants it; a known one is brought up to
-- date, except for what a person edited. A request that a person deleted stays deleted.
-- It names everything in full, and searches public all the same: the users' own triggers on the tables run under its path.
-- A row that somebody holds locked fails the statement (55P03) instead of being waited for, and the worker tries again.
create or replace function rowcall.put_fluent_tickets(
    wanted_sync text,
    wanted_generation integer,
    last_nth integer,
    last_page jsonb,
    is_end boolean,
    out fetched integer,
    out added integer,
    out updated integer,
    out unseen integer
)
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    sync constant rowcall.fluent_sync_status_key := wanted_sync;
    ticket rowcall.fluent_mapped;
    known public.fluent_tickets;
    request public.requests;
    is_changed boolean;
begin
    added := 0;
    updated := 0;

    -- Two syncs that wrote the same new ticket at the same time would both make a request of it.
    if not pg_try_advisory_xact_lock(hashtext('rowcall.put_fluent_tickets')) then
        raise exception 'another sync is writing its tickets' using errcode = 'lock_not_available';
    end if;
    insert into rowcall.fluent_pages (sync_id, generation, nth, tickets, ids, size)
    values (sync, wanted_generation, last_nth, last_page, rowcall.ticket_numbers(last_page), 0)
    on conflict (sync_id, generation, nth) do update
    set tickets = excluded.tickets,
        ids = excluded.ids;

    fetched := rowcall.count_fluent_tickets(wanted_sync, wanted_generation, '[]');
    select count(*)
    into unseen
    from public.fluent_tickets as t
    where t.fluent_id not in (
        select i.id
        from rowcall.fluent_pages as p
        cross join unnest(p.ids) as i (id)
        where p.sync_id = sync
          and p.generation = wanted_generation
    );

    for ticket in
        select m.*
        from rowcall.fluent_mapped as m
        where m.sync_id = sync
          and m.generation = wanted_generation
    loop
        select t.* into known from public.fluent_tickets as t where t.fluent_id = ticket.fluent_id;

        if not found and not ticket.is_wanted then
            continue;
        elsif not found then
            insert into public.requests as r (
                date, time, description, urgency, category, website_url, source, synced_at
            )
            values (
                ticket.date, ticket.time, ticket.description, ticket.urgency, ticket.category, ticket.website_url, 'fluent',
                clock_timestamp()
            )
            returning r.* into request;
            insert into public.fluent_tickets (
                fluent_id, request_id, title, status, priority, client_priority, product, agent_name, customer_name,
                customer_email, response_count, ticket_created_at, ticket_updated_at, resolved_at
            )
            values (
                ticket.fluent_id, request.id, ticket.title, ticket.status, ticket.priority, ticket.client_priority,
                ticket.product, ticket.agent_name, ticket.customer_name, ticket.customer_email, ticket.response_count,
                ticket.ticket_created_at, ticket.ticket_updated_at, ticket.resolved_at
            );
            added := added + 1;
            continue;
        end if;

        is_changed := (
            known.title, known.status, known.priority, known.client_priority, known.product, known.agent_name,
            known.customer_name, known.customer_email, known.response_count, known.ticket_created_at,
            known.ticket_updated_at, known.resolved_at
        ) is distinct from (
            ticket.title, ticket.status, ticket.priority, ticket.client_priority, ticket.product, ticket.agent_name,
            ticket.customer_name, ticket.customer_email, ticket.response_count, ticket.ticket_created_at,
            ticket.ticket_updated_at, ticket.resolved_at
        );
        if is_changed then
            perform from public.fluent_tickets as t where t.fluent_id = ticket.fluent_id for no key update nowait;
            update public.fluent_tickets as t
            set title = ticket.title,
                status = ticket.status,
                priority = ticket.priority,
                client_priority = ticket.client_priority,
                product = ticket.product,
                agent_name = ticket.agent_name,
                customer_name = ticket.customer_name,
                customer_email = ticket.customer_email,
                response_count = ticket.response_count,
                ticket_created_at = ticket.ticket_created_at,
                ticket_updated_at = ticket.ticket_updated_at,
                resolved_at = ticket.resolved_at,
                updated_at = now()
            where t.fluent_id = ticket.fluent_id;
        end if;

        -- No row without a request_id: a person deleted the request.
        select r.* into request from public.requests as r where r.id = known.request_id;
        if found and request.synced_at is null then
            -- It stood here before rowcall did. Category and urgency that are not as the ticket has them, a person may have
            -- written; the rest is another program's form of the same words.
            perform from public.requests as r where r.id = known.request_id for no key update nowait;
            update public.requests as r
            set edited_columns = array(
                    select e.name
                    from unnest(r.edited_columns) as e (name)
                    union
                    select d.name
                    from unnest(rowcall.request_differences(r, ticket)) as d (name)
                    where (d.name = 'category' and r.category is not null)
                       or (d.name = 'urgency' and r.urgency is not null)
                    order by 1
                ),
                synced_at = clock_timestamp()
            where r.id = known.request_id
            returning r.* into request;
        end if;
        if found and not rowcall.request_differences(request, ticket) <@ request.edited_columns then
            perform from public.requests as r where r.id = known.request_id for no key update nowait;
            update public.requests as r
            set date = case when 'date' = any (r.edited_columns) then r.date else ticket.date end,
                time = case when 'time' = any (r.edited_columns) then r.time else ticket.time end,
                description = case when 'description' = any (r.edited_columns) then r.description else ticket.description end,
                urgency = case when 'urgency' = any (r.edited_columns) then r.urgency else ticket.urgency end,
                category = case when 'category' = any (r.edited_columns) then r.category else ticket.category end,
                website_url = case when 'website_url' = any (r.edited_columns) then r.website_url else ticket.website_url end,
                -- Later than it was, whatever the clock says: that is how the trigger knows a sync.
                synced_at = greatest(clock_timestamp(), r.synced_at + interval '1 microsecond'),
                updated_at = now()
            where r.id = known.request_id;
            is_changed := true;
        end if;

        if is_changed then
            updated := updated + 1;
        end if;
    end loop;

    if is_end then
        delete from rowcall.fluent_pages as p
        where p.sync_id = sync
          and p.generation = wanted_generation;
    else
        update rowcall.fluent_pages as p
        set tickets = null,
            size = 0
        where p.sync_id = sync
          and p.generation = wanted_generation
          and p.tickets is not null;
    end if;
exception
    -- The words of whoever refuses a row, with the ticket that it is about.
    when data_exception or integrity_constraint_violation or raise_exception then
        raise exception 'ticket %: %', ticket.fluent_id, sqlerrm using errcode = sqlstate;
end
$$;
