-- The operator's verbs for the queue of syncs with FluentSupport. They name everything in full, and search public all the
-- same: the users' own triggers on the table run under their path.

-- The sync that an operator names, locked; an error in words when there is none.
create or replace function rowcall.named_fluent_sync(wanted_key text) returns public.fluent_sync_status
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.fluent_sync_status;
begin
    select s.*
    into found
    from public.fluent_sync_status as s
    where s.id::text = wanted_key
    for no key update;

    if found.id is null then
        raise exception 'fluent_sync_status has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return found;
end
$$;

-- Reads a stopped sync anew, or a waiting one on from now. Returns what it did, in words.
create or replace function rowcall.retry_fluent_sync_status(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found constant public.fluent_sync_status := rowcall.named_fluent_sync(wanted_key);
begin
    if found.claimed_until > now() then
        return format('sync %s is running; nothing to do', wanted_key);
    end if;

    if found.status in ('pending', 'running') then
        update public.fluent_sync_status as s
        set attempts = 0,
            next_retry_at = now()
        where s.id = found.id;
        perform pg_notify('rowcall', 'fluent_sync_status');
        return format('sync %s is tried now', wanted_key);
    end if;

    if found.status not in ('failed', 'cancelled') then
        raise exception 'sync % is %: there is nothing to try again', wanted_key, found.status
            using errcode = 'invalid_parameter_value',
                hint = 'insert into fluent_sync_status default values, or rowcall fluent sync, starts another';
    end if;

    -- The triggers count a new request, clear what the last one came to, and ring.
    update public.fluent_sync_status as s
    set status = 'pending'
    where s.id = found.id;
    return format('sync %s is asked for again', wanted_key);
end
$$;

-- Takes a sync back that is not done; what it has read is forgotten. Returns what it did, in words.
create or replace function rowcall.cancel_fluent_sync_status(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found constant public.fluent_sync_status := rowcall.named_fluent_sync(wanted_key);
begin
    if found.status not in ('pending', 'running') then
        raise exception 'sync % is %: there is nothing to cancel', wanted_key, found.status
            using errcode = 'invalid_parameter_value';
    end if;

    -- The stamp trigger sees a changed status and counts a new generation: the page that still runs is superseded.
    update public.fluent_sync_status as s
    set status = 'cancelled',
        cursor = null,
        error_message = 'cancelled by ' || rowcall.requester(),
        completed_at = now(),
        updated_at = now()
    where s.id = found.id;
    delete from rowcall.fluent_pages as p
    where p.sync_id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'fluent_sync_status', wanted_key, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    return format('sync %s is cancelled', wanted_key);
end
$$;

-- Reading is never in doubt, so there is nothing to settle by hand.
create or replace function rowcall.resolve_fluent_sync_status(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found constant public.fluent_sync_status := rowcall.named_fluent_sync(wanted_key);
begin
    raise exception 'sync % is %, not unknown: there is nothing to resolve', wanted_key, found.status
        using errcode = 'invalid_parameter_value',
            hint = 'rowcall.retry reads it again';
end
$$;
