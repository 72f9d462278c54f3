-- The operator's verbs of the queue of organizations. They name everything in full, and search public all the same: the
-- users' own triggers on the table run under their path.

-- The row with that key, locked; or an error.
create or replace function rowcall.known_organization(wanted_key text) returns public.organizations
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.organizations;
begin
    select o.*
    into found
    from public.organizations as o
    where o.id::text = wanted_key
    for no key update;

    if found.id is null then
        raise exception 'organizations has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return found;
end
$$;

-- What a request goes back to when it is not done.
create or replace function rowcall.organization_before(metadata jsonb) returns text
language sql
immutable
set search_path = pg_catalog
as $$
    select case
        when metadata ->> 'previous_status' in ('syncing', 'unknown') then 'active'
        else coalesce(metadata ->> 'previous_status', 'active')
    end
$$;

-- Asks for a stopped organization's last request again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_organizations(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.organizations := rowcall.known_organization(wanted_key);
    label constant text := format('organization #%s', found.id);
begin
    if found.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    end if;

    if found.status = 'syncing' then
        update public.organizations as o
        set attempts = 0,
            next_retry_at = now()
        where o.id = found.id;
        perform pg_notify('rowcall', 'organizations');
        return format('%s is tried now', label);
    end if;

    if found.error_message is null and found.metadata -> 'action_failed' is distinct from 'true' then
        raise exception '% is %: there is nothing to try again', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value',
                hint = 'to have it told again, set its status to syncing';
    end if;

    -- A parked row keeps the mark that its effect is not known, under a token that nobody holds.
    update public.organizations as o
    set status = 'syncing',
        metadata = case jsonb_typeof(o.metadata) when 'object' then o.metadata else '{}' end
            - '{action_failed,action_error,failed_at}'::text[]
            || jsonb_build_object('previous_status', rowcall.organization_before(o.metadata)),
        -- Where the token stays as it is, the stamp trigger counts.
        generation = o.generation + (found.claim_token is not null)::integer,
        attempts = 0,
        next_retry_at = now(),
        error_message = null,
        claim_token = case when found.claim_token is not null then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        requested_by = rowcall.requester(),
        requested_at = now(),
        updated_at = now()
    where o.id = found.id;
    perform pg_notify('rowcall', 'organizations');
    return format('%s is asked for again', label);
end
$$;

-- Takes a request back that is not done. Returns what it did, in words.
create or replace function rowcall.cancel_organizations(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.organizations := rowcall.known_organization(wanted_key);
    label constant text := format('organization #%s', found.id);
    back constant text := rowcall.organization_before(found.metadata);
begin
    if found.status is distinct from 'syncing' then
        raise exception '% is %: there is nothing to cancel', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value';
    end if;

    -- The stamp trigger sees a changed status and counts a new generation: what still runs is superseded.
    update public.organizations as o
    set status = back,
        metadata = case jsonb_typeof(o.metadata) when 'object' then o.metadata else '{}' end
            || jsonb_build_object(
                'cancelled_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'cancelled_by', rowcall.requester()
            ),
        updated_at = now()
    where o.id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'organizations', wanted_key, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    return format(
        '%s is %s again%s', label, back,
        case when found.claimed_until > now() then '; it is being told and that may still arrive, history will tell' end
    );
end
$$;

-- Settles an organization of which nobody can tell whether the other side heard of it, as a person found out. In words.
create or replace function rowcall.resolve_organizations(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.organizations := rowcall.known_organization(wanted_key);
    label constant text := format('organization #%s', found.id);
begin
    if found.status is distinct from 'unknown' then
        raise exception '% is %, not unknown: there is nothing to resolve', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value';
    end if;

    update public.organizations as o
    set status = case verdict when 'done' then 'active' else rowcall.organization_before(o.metadata) end,
        synced_at = case verdict when 'done' then now() else o.synced_at end,
        metadata = case jsonb_typeof(o.metadata) when 'object' then o.metadata else '{}' end
            - case verdict when 'done' then '{action_failed,action_error,failed_at}' else '{}' end::text[]
            || jsonb_build_object(
                'resolved_by', rowcall.requester(),
                'resolved_note', note,
                'resolved_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            ),
        error_message = case when verdict = 'failed' then note end,
        claim_token = null,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    where o.id = found.id
    returning o.*
    into found;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'organizations', wanted_key, found.generation, greatest(found.attempts, 1), verdict,
        format('resolved by %s: %s', rowcall.requester(), note),
        jsonb_build_object('resolved_by', rowcall.requester(), 'note', note), found.requested_by
    );
    return format('%s is %s', label, found.status);
end
$$;
