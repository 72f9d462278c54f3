-- What the queue of links needs beside its two statements: slugs, and the operator's verbs. They name everything in full, and
-- search public all the same: the users' own triggers on the table run under their path.

-- Eleven random letters of 32, 55 bits: nobody finds a link by trying. Lower case, and none that looks like another. The
-- bytes are those of a random UUID that are random whole.
create or replace function rowcall.random_slug() returns text
language sql
volatile
set search_path = pg_catalog
as $$
    select string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', (get_byte(u.bytes, b.nth) & 31) + 1, 1), '' order by b.nth)
    from (select uuid_send(gen_random_uuid()) as bytes) as u
    cross join (values (0), (1), (2), (3), (4), (5), (9), (10), (11), (12), (13)) as b (nth)
$$;

-- A slug that no link has and none ever had. Who mints the same at the same time waits for the other's end, and mints again.
create or replace function rowcall.mint_slug() returns text
language plpgsql
volatile
set search_path = pg_catalog
as $$
declare
    minted text;
begin
    loop
        minted := rowcall.random_slug();
        insert into rowcall.slugs (slug) values (minted) on conflict do nothing;
        -- A person may have given a link a slug of their own.
        if found and not exists (select from public.links as l where l.slug = minted) then
            return minted;
        end if;
    end loop;
end
$$;

-- The row with that key, locked; or, when there is none, an error that says which key a link of that slug has.
create or replace function rowcall.known_link(wanted_key text) returns public.links
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.links;
begin
    select l.*
    into found
    from public.links as l
    where l.id::text = wanted_key
    for no key update;

    if found.id is null then
        raise exception 'links has no row with the key %', wanted_key
            using errcode = 'no_data_found',
                hint = coalesce(
                    (select format('the link %s has the key %s', l.slug, l.id) from public.links as l where l.slug = wanted_key limit 1),
                    'the key is the row''s id; rowcall status shows it'
                );
    end if;
    return found;
end
$$;

-- Asks for a stopped link again, or tries a waiting one now. Returns what it did, in words.
create or replace function rowcall.retry_links(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.links := rowcall.known_link(wanted_key);
    label constant text := coalesce(found.slug, 'link #' || found.id);
begin
    if found.claimed_until > now() then
        return format('%s is running; nothing to do', label);
    end if;

    if found.status = 'creating' then
        update public.links as l
        set attempts = 0,
            next_retry_at = now()
        where l.id = found.id;
        perform pg_notify('rowcall', 'links');
        return format('%s is tried now', label);
    end if;

    if found.status is distinct from 'failed' then
        raise exception '% is %: there is nothing to try again', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value',
                hint = 'to have it made, set its status to creating';
    end if;
    -- The stamp trigger counts the request, and the ring trigger rings.
    update public.links as l
    set status = 'creating',
        metadata = case jsonb_typeof(l.metadata) when 'object' then l.metadata else '{}' end
            - '{action_failed,action_error,failed_at}'::text[],
        updated_at = now()
    where l.id = found.id;
    return format('%s is asked for again', label);
end
$$;

-- Takes a request back that is not done: a link that was active before is so again, a new one is failed. In words.
create or replace function rowcall.cancel_links(wanted_key text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.links := rowcall.known_link(wanted_key);
    label constant text := coalesce(found.slug, 'link #' || found.id);
    back constant text := case when found.slug is not null and found.metadata ->> 'previous_status' in ('active', 'disabled')
        then found.metadata ->> 'previous_status'
        else 'failed'
    end;
begin
    if found.status is distinct from 'creating' then
        raise exception '% is %: there is nothing to cancel', label, coalesce(found.status, 'null')
            using errcode = 'invalid_parameter_value';
    end if;

    -- The stamp trigger sees a changed status and counts a new generation: what still runs is superseded.
    update public.links as l
    set status = back,
        metadata = case jsonb_typeof(l.metadata) when 'object' then l.metadata else '{}' end
            || jsonb_build_object(
                'cancelled_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'cancelled_by', rowcall.requester()
            ),
        updated_at = now()
    where l.id = found.id;

    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, requested_by)
    values (
        'links', wanted_key, found.generation, found.attempts + 1, 'cancelled',
        'cancelled by ' || rowcall.requester(), found.requested_by
    );
    return format('%s is %s', label, back);
end
$$;

-- No link is ever unknown: nothing of it happens outside of this database. Says so.
create or replace function rowcall.resolve_links(wanted_key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    found public.links := rowcall.known_link(wanted_key);
begin
    raise exception '% is %, not unknown: there is nothing to resolve',
        coalesce(found.slug, 'link #' || found.id), coalesce(found.status, 'null')
        using errcode = 'invalid_parameter_value',
            hint = 'to have it made, use rowcall.retry';
end
$$;
