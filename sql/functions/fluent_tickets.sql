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

-- Writes everything that a sync has read and not written, and `last_page`, which it read just now: all of it, or nothing.
-- Called by the statement that settles the sync. `unseen` are tickets that are known here and were not read.
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
    out fetched integer,
    out added integer,
    out updated integer,
    out skipped integer,
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
    fetched := 0;
    added := 0;
    updated := 0;
    skipped := 0;
    select count(*) into unseen from public.fluent_tickets;

    -- Two syncs that wrote the same new ticket at the same time would both make a request of it.
    if not pg_try_advisory_xact_lock(hashtext('rowcall.put_fluent_tickets')) then
        raise exception 'another sync is writing its tickets' using errcode = 'lock_not_available';
    end if;
    insert into rowcall.fluent_pages (sync_id, generation, nth, tickets)
    values (sync, wanted_generation, last_nth, last_page)
    on conflict (sync_id, generation, nth) do update
    set tickets = excluded.tickets;

    for ticket in
        select m.*
        from rowcall.fluent_mapped as m
        where m.sync_id = sync
          and m.generation = wanted_generation
    loop
        fetched := fetched + 1;
        select t.* into known from public.fluent_tickets as t where t.fluent_id = ticket.fluent_id;

        if not found and not ticket.is_wanted then
            skipped := skipped + 1;
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

        unseen := unseen - 1;
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
            -- It stood here before rowcall did: what is not as the ticket has it, a person may have written.
            perform from public.requests as r where r.id = known.request_id for no key update nowait;
            update public.requests as r
            set edited_columns = rowcall.request_differences(r, ticket),
                synced_at = clock_timestamp()
            where r.id = known.request_id;
        elsif found and not rowcall.request_differences(request, ticket) <@ request.edited_columns then
            perform from public.requests as r where r.id = known.request_id for no key update nowait;
            update public.requests as r
            set date = case when 'date' = any (r.edited_columns) then r.date else ticket.date end,
                time = case when 'time' = any (r.edited_columns) then r.time else ticket.time end,
                description = case when 'description' = any (r.edited_columns) then r.description else ticket.description end,
                urgency = case when 'urgency' = any (r.edited_columns) then r.urgency else ticket.urgency end,
                category = case when 'category' = any (r.edited_columns) then r.category else ticket.category end,
                website_url = case when 'website_url' = any (r.edited_columns) then r.website_url else ticket.website_url end,
                synced_at = clock_timestamp(),
                updated_at = now()
            where r.id = known.request_id;
            is_changed := true;
        end if;

        if is_changed then
            updated := updated + 1;
        else
            skipped := skipped + 1;
        end if;
    end loop;

    delete from rowcall.fluent_pages as p
    where p.sync_id = sync
      and p.generation = wanted_generation;
exception
    -- The words of whoever refuses a row, with the ticket that it is about.
    when data_exception or integrity_constraint_violation or raise_exception then
        raise exception 'ticket %: %', ticket.fluent_id, sqlerrm using errcode = sqlstate;
end
$$;
