-- Document 5's functions: a sync is started and looked at, and its tickets are listed. The HTTP API and the command line
-- call these; keys are in the words of document 5.

-- Starts a sync, or finds the one that was asked for in the same words and is not done, which is then tried now. Returns its
-- key.
create or replace function rowcall.start_fluent_sync(wanted_date_filter date, wanted_is_full boolean) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    key text;
begin
    if wanted_date_filter > current_date + 1 then
        raise exception 'dateFilter % lies ahead', wanted_date_filter
            using errcode = 'invalid_parameter_value',
                hint = 'give the day since which tickets count, such as 2025-10-17';
    end if;
    if wanted_date_filter < date '1970-01-01' then
        raise exception 'dateFilter % is before 1970, and every ticket is later', wanted_date_filter
            using errcode = 'invalid_parameter_value',
                hint = 'give a later day; a full sync reads every ticket';
    end if;

    -- Two who ask in the same words at the same time ask for one sync.
    perform pg_advisory_xact_lock(
        hashtext('rowcall.start_fluent_sync'), hashtext(concat(wanted_date_filter, ' ', wanted_is_full))
    );

    select s.id::text
    into key
    from public.fluent_sync_status as s
    where s.status in ('pending', 'running')
      and s.date_filter is not distinct from wanted_date_filter
      and s.is_full = wanted_is_full
    order by s.id
    limit 1;

    if key is null then
        insert into public.fluent_sync_status as s (date_filter, is_full)
        values (wanted_date_filter, wanted_is_full)
        returning s.id::text into key;
        return key;
    end if;

    -- Whoever asks again has perhaps mended what it waits for; what still keeps it is told anew.
    update public.fluent_sync_status as s
    set attempts = 0,
        next_retry_at = now(),
        error_message = null
    where s.id = key::rowcall.fluent_sync_status_key
      and s.claimed_until is null;
    perform pg_notify('rowcall', 'fluent_sync_status');
    return key;
end
$$;

-- One sync, as it stands.
create or replace function rowcall.fluent_sync(wanted_key text) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'id', s.id,
        'status', case when s.status = 'pending' and s.claimed_until > now() then 'running' else s.status end,
        'dateFilter', s.date_filter,
        'isFull', s.is_full,
        'pagesRead', s.pages_read,
        'pagesTotal', s.pages_total,
        'ticketsFetched', s.tickets_fetched,
        'ticketsTotal', s.tickets_total,
        'ticketsAdded', s.tickets_added,
        'ticketsUpdated', s.tickets_updated,
        'ticketsSkipped', s.tickets_skipped,
        'syncDuration', s.sync_duration,
        'requestedAt', s.requested_at,
        'startedAt', s.started_at,
        'completedAt', s.completed_at,
        'note', s.note,
        -- While it runs, an error is that of the time before.
        'error', case when s.status in ('pending', 'running') and s.claimed_until > now() then null else s.error_message end,
        'waitsFor', case
            when s.status in ('pending', 'running') and s.claimed_until is null then rowcall.held_up('fluent_sync_status')
        end
    )
    from public.fluent_sync_status as s
    where s.id = wanted_key::rowcall.fluent_sync_status_key
$$;

-- The last sync that was asked for, and the last one that worked.
create or replace function rowcall.fluent_status() returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'lastSync', (
            select rowcall.fluent_sync(s.id::text)
            from public.fluent_sync_status as s
            order by coalesce(s.requested_at, s.created_at) desc, s.id desc
            limit 1
        ),
        'lastSuccessAt', (
            select max(s.completed_at)
            from public.fluent_sync_status as s
            where s.status = 'success'
        ),
        'tickets', (select count(*) from public.fluent_tickets)
    )
$$;

-- A page of tickets with their requests, newest change first. `asked` may have page, per_page (to 200), status, category,
-- urgency and search, which is looked for in titles and descriptions. Of a description, 2,000 characters are shown.
create or replace function rowcall.fluent_ticket_list(asked jsonb) returns jsonb
language plpgsql
stable
set search_path = pg_catalog
as $$
declare
    page constant integer := coalesce((asked ->> 'page')::integer, 1);
    per_page constant integer := coalesce((asked ->> 'per_page')::integer, 50);
    pattern constant text := '%' || replace(replace(replace(asked ->> 'search', '\', '\\'), '%', '\%'), '_', '\_') || '%';
    is_of_requests boolean;
    total bigint;
    tickets jsonb;
begin
    if page < 1 or per_page not between 1 and 200 then
        raise exception 'page must be 1 or more, and per_page from 1 to 200' using errcode = 'invalid_parameter_value';
    end if;

    -- Whoever asks for nothing of the requests, is not made to wait for them.
    is_of_requests := asked ->> 'category' is not null or asked ->> 'urgency' is not null or pattern is not null;
    if is_of_requests then
        select count(*)
        into total
        from public.fluent_tickets as t
        left join public.requests as r on r.id = t.request_id
        where (asked ->> 'status' is null or t.status = asked ->> 'status')
          and (asked ->> 'category' is null or r.category = asked ->> 'category')
          and (asked ->> 'urgency' is null or r.urgency = asked ->> 'urgency')
          and (pattern is null or t.title ilike pattern or r.description ilike pattern);
    else
        select count(*)
        into total
        from public.fluent_tickets as t
        where asked ->> 'status' is null
           or t.status = asked ->> 'status';
    end if;

    -- The page by its keys first, along the index; then what is shown of it.
    with shown as materialized (
        select t.fluent_id
        from public.fluent_tickets as t
        left join public.requests as r on is_of_requests and r.id = t.request_id
        where (asked ->> 'status' is null or t.status = asked ->> 'status')
          and (asked ->> 'category' is null or r.category = asked ->> 'category')
          and (asked ->> 'urgency' is null or r.urgency = asked ->> 'urgency')
          and (pattern is null or t.title ilike pattern or r.description ilike pattern)
        order by t.ticket_updated_at desc nulls last, t.fluent_id desc
        limit per_page
        offset (page - 1)::bigint * per_page
    )

    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'fluentId', t.fluent_id,
                'requestId', t.request_id,
                'title', t.title,
                'status', t.status,
                'priority', t.priority,
                'product', t.product,
                'agentName', t.agent_name,
                'customerName', t.customer_name,
                'customerEmail', t.customer_email,
                'responseCount', t.response_count,
                'createdAt', t.ticket_created_at,
                'updatedAt', t.ticket_updated_at,
                'resolvedAt', t.resolved_at,
                'request', case when r.id is not null then jsonb_build_object(
                    'id', r.id,
                    'date', r.date,
                    'time', r.time,
                    'description', case
                        when char_length(r.description) > 2000 then left(r.description, 1999) || '…'
                        else r.description
                    end,
                    'urgency', r.urgency,
                    'category', r.category,
                    'websiteUrl', r.website_url,
                    'hours', r.hours,
                    'source', r.source,
                    'editedColumns', r.edited_columns
                ) end
            )
            order by t.ticket_updated_at desc nulls last, t.fluent_id desc
        ),
        '[]'
    )
    into tickets
    from shown as s
    join public.fluent_tickets as t on t.fluent_id = s.fluent_id
    left join public.requests as r on r.id = t.request_id;

    return jsonb_build_object(
        'tickets', tickets,
        'page', page,
        'perPage', per_page,
        'lastPage', greatest(1, ceil(total / per_page::numeric))::integer,
        'total', total
    );
end
$$;
