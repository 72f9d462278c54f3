-- Monitoring: the codes here are compared with those in Fienta, and nothing is changed by it. What asks for a check, and the
-- operator's verbs.

-- Asks for a check, where there is any code to compare; the schedule calls it, and whoever wants to know now. In words.
create or replace function rowcall.check_codes_now() returns text
language plpgsql
set search_path = pg_catalog, public
as $$
begin
    if not exists (select from public.codes) then
        return 'there are no codes to compare';
    end if;
    update public.fienta_checks as f
    set status = 'checking'
    where f.name = 'codes'
      and f.status <> 'checking';
    return case when found then 'the codes are compared with those in Fienta' else 'they are being compared already' end;
end
$$;

-- The row with that key, locked; or an error.
create or replace function rowcall.known_fienta_check(wanted_key text) returns public.fienta_checks
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    known public.fienta_checks;
begin
    select f.*
    into known
    from public.fienta_checks as f
    where f.id::text = wanted_key
    for no key update;
    if known.id is null then
        raise exception 'fienta_checks has no row with the key %', wanted_key
            using errcode = 'no_data_found', hint = 'the key is the row''s id; rowcall status shows it';
    end if;
    return known;
end
$$;

-- Makes a check again that failed, or a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_fienta_checks(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    known constant public.fienta_checks := rowcall.known_fienta_check(wanted_key);
    label constant text := format('the check of %s', known.name);
begin
    if known.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    end if;
    update public.fienta_checks as f
    set status = 'checking',
        attempts = 0,
        next_retry_at = now()
    where f.id = known.id;
    perform pg_notify('rowcall', 'fienta_checks');
    return format('%s is %s', label, case known.status when 'checking' then 'tried now' else 'asked for again' end);
end
$$;

-- Takes a check back that is not done. Returns what it did, in words.
create or replace function rowcall.cancel_fienta_checks(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    known constant public.fienta_checks := rowcall.known_fienta_check(wanted_key);
    label constant text := format('the check of %s', known.name);
begin
    if known.status <> 'checking' then
        raise exception '% is %: there is nothing to cancel', label, known.status using errcode = 'invalid_parameter_value';
    end if;
    update public.fienta_checks as f
    set status = 'checked'
    where f.id = known.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'fienta_checks', wanted_key, known.generation, known.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), known.requested_by
    );
    return format('%s is taken back', label);
end
$$;

-- A look has no effect, so no check is ever unknown.
create or replace function rowcall.resolve_fienta_checks(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    known constant public.fienta_checks := rowcall.known_fienta_check(wanted_key);
begin
    raise exception 'the check of % is %, not unknown: there is nothing to resolve', known.name, known.status
        using errcode = 'invalid_parameter_value';
end
$$;
