-- Browsers: which rows they see, and what their writes may be. Rows are seen by policies, columns by grants; what neither can
-- say, such as which statuses are the worker's, two triggers do (triggers/browsers.sql).

-- Whether this is a Supabase project, or looks like one, and this role may build on it.
create or replace function rowcall.has_supabase() returns boolean
language sql
stable
set search_path = pg_catalog
as $$
    select to_regrole('authenticated') is not null
        and exists (
            select
            from pg_proc as p
            join pg_namespace as n on n.oid = p.pronamespace
            where n.nspname = 'auth'
              and p.proname = 'uid'
              and p.pronargs = 0
              and has_schema_privilege(n.oid, 'usage')
              and has_function_privilege(p.oid, 'execute')
        )
$$;

-- The policies that stand on a table, as one fingerprint; null where there is none.
create or replace function rowcall.policies_of(relation text) returns text
language sql
stable
set search_path = pg_catalog
as $$
    select md5(string_agg(concat_ws(' ', p.policyname, p.permissive, p.roles, p.cmd, p.qual, p.with_check), e'\n' order by p.policyname))
    from pg_policies as p
    where p.schemaname = 'public'
      and p.tablename = relation
$$;

-- Lets browsers see and change the rows that fulfil the rule, as far as their grants go. Only where rowcall is the first to make
-- a policy, or its own stands as it was left: whoever replaced or dropped it, or had others, is right.
create or replace function rowcall.put_policy(relation text, rule text) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    standing constant text := rowcall.policies_of(relation);
    was text;
begin
    insert into rowcall.browser_tables (table_name) values (relation) on conflict do nothing;
    select b.policies into was from rowcall.browser_tables as b where b.table_name = relation;
    if split_part(was, ' ', 1) is distinct from standing or split_part(was, ' ', 2) = md5(rule) then
        return;
    end if;
    execute format('drop policy if exists rowcall_browser on public.%I', relation);
    execute format(
        'create policy rowcall_browser on public.%I to authenticated using (%2$s) with check (%2$s)', relation, rule
    );
    update rowcall.browser_tables as b
    set policies = concat_ws(' ', rowcall.policies_of(relation), md5(rule))
    where b.table_name = relation;
end
$$;

-- Gives each row of a table an owner, and shows it to that user alone. A row that a browser makes is its user's; whose the rows
-- are that others make, they say: a row without an owner is shown to no browser.
create or replace function rowcall.put_owner(relation text, owner_column name) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    execute format('alter table public.%I add column if not exists %I uuid', relation, owner_column);
    -- Where a browser reads columns, and not the whole table, whose row it is is one of them.
    if to_regrole('authenticated') is not null
        and not exists (select from rowcall.adopted as a where a.table_name = relation)
        and has_any_column_privilege('authenticated', format('public.%I', relation), 'select')
    then
        execute format('grant select (%I) on public.%I to authenticated', owner_column, relation);
    end if;
    perform rowcall.require_column(
        relation, owner_column, '{uuid}', format('name another: select rowcall.own_rows(%L, ''owner_id'');', relation)
    );
    -- Rows without an owner cost nothing here, and a claim writes nothing to it.
    execute format(
        'create index if not exists %I on public.%I (%I) where %3$I is not null', relation || '_owner_idx', relation, owner_column
    );
    insert into rowcall.browser_tables (table_name, owner_column)
    values (relation, put_owner.owner_column)
    on conflict (table_name) do update
    set owner_column = excluded.owner_column;
    perform rowcall.put_policy(relation, format('%I = (select auth.uid())', owner_column));
end
$$;

-- The same, asked for by a person: also on a table that was theirs before, and where they dropped rowcall's policy.
create or replace function rowcall.own_rows(relation text, owner_column name default 'owner') returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    update rowcall.browser_tables as b
    set policies = null
    where b.table_name = relation
      and rowcall.policies_of(relation) is null;
    perform rowcall.put_owner(relation, owner_column);
end
$$;

-- Shows a row to whoever is shown the row that it belongs to. Whose policies are replaced, its followers follow by themselves. Where
-- that table has no row level security, nobody is shown anything.
create or replace function rowcall.follow_rows(relation text, key name, parent text) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    if (select c.relrowsecurity from pg_class as c where c.oid = format('public.%I', parent)::regclass) then
        perform rowcall.put_policy(relation, format('%I in (select p.id from public.%I as p)', key, parent));
    end if;
end
$$;

-- Refuses what a browser must not write, and puts right what it cannot know. The arguments are keys of metadata that the worker
-- keeps there: they stay as they were, whatever a page sends along. It reads one row of policy and writes nothing.
create or replace function rowcall.guard_browser() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
declare
    depth_max constant text := '$.**{33 to last}';
    of_a_failure constant text[] := '{action_failed,action_error,failed_at}';
    rules rowcall.browser_tables;
    given constant jsonb := to_jsonb(new);
    before constant jsonb := case tg_op when 'UPDATE' then to_jsonb(old) else '{}' end;
    -- What a person may take back: a request that no worker has begun.
    back constant text := case
        when before -> 'claim_token' = 'null'
            then coalesce(
                before #>> '{metadata,reached_status}',
                before #>> '{metadata,previous_status}',
                case before ->> 'status' when 'creating' then 'failed' end
            )
    end;
    had constant jsonb := case jsonb_typeof(before -> 'metadata') when 'object' then before -> 'metadata' else '{}' end;
    kept constant text[] := tg_argv;
    is_other_status constant boolean := given -> 'status' is distinct from before -> 'status';
    large text;
begin
    select b.* into rules from rowcall.browser_tables as b where b.table_name = tg_table_name;
    if rules.table_name is null or tg_table_schema <> 'public' then
        return new;
    end if;
    if tg_op = 'INSERT' and 'creating' = any (rules.asks) then
        -- Of what is not there yet nothing else can be asked: it would be done to what others have by that name.
        rules.asks := '{creating}';
    end if;

    select g.key
    into large
    from jsonb_each(given) as g
    where g.value is distinct from before -> g.key
      and (octet_length(g.value::text) > rules.bytes_max or (rules.bytes_max > 0 and jsonb_path_exists(g.value, depth_max::jsonpath)))
    limit 1;
    if large is not null then
        raise exception '% is larger than % bytes, or nested deeper than 32 levels', large, rules.bytes_max
            using errcode = '22023', detail = jsonb_build_array(large)::text, hint = 'keep what is large in a table of its own';
    end if;

    if is_other_status
        and not coalesce(given ->> 'status' = any (rules.asks), rules.asks is null)
        and not coalesce(before ->> 'status' = any (rules.asks) and given ->> 'status' = back, false)
    then
        raise exception 'a browser may not set the status % of %', coalesce(given ->> 'status', 'null'), tg_table_name
            using errcode = '42501',
                hint = case rules.asks
                    when '{}' then 'no status of this table is for pages to set: let your backend do so (docs/supabase.md)'
                    else format('set %s; the worker sets the others when it is done', array_to_string(rules.asks, ' or '))
                end;
    end if;

    if cardinality(kept) > 0 and jsonb_typeof(given -> 'metadata') = 'object' then
        new := jsonb_populate_record(new, jsonb_build_object(
            'metadata',
            (given -> 'metadata') - kept
            -- What an order's metadata is to be comes the same way.
            || case jsonb_typeof(given #> '{metadata,new_metadata}')
                when 'object' then jsonb_build_object('new_metadata', (given #> '{metadata,new_metadata}') - kept)
                else '{}'
            end
            || case
                when given #> '{metadata,request_method}' is distinct from had -> 'request_method' and given -> 'metadata' ? 'request_method'
                    then '{"request_method": "frontend"}'
                else '{}'
            end::jsonb
            || (
                select coalesce(jsonb_object_agg(k.key, had -> k.key), '{}')
                from unnest(kept) as k (key)
                where had ? k.key
                  and not (is_other_status and k.key = any (of_a_failure))
            )
        ));
    end if;

    if rules.owner_column is not null and given ->> rules.owner_column is null and tg_op = 'INSERT' then
        new := jsonb_populate_record(new, jsonb_build_object(rules.owner_column, auth.uid()));
    end if;
    return new;
end
$$;

-- Refuses what a browser must not ask of an order, also where the table was there before rowcall: another status at Fienta, which
-- may move money, unless that was opened to pages; and never a change by which a bundle would be bought: that an order is paid, its
-- page does not decide.
create or replace function rowcall.guard_order() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if tg_relid <> 'public.orders'::regclass
        or (tg_op = 'UPDATE' and new.status is not distinct from old.status and new.metadata is not distinct from old.metadata)
    then
        return new;
    end if;
    if not exists (select from rowcall.browser_tables as b where b.table_name = 'orders' and 'updating' = any (b.asks)) then
        raise exception 'a browser may not change what is asked of order % at Fienta', new.id
            using errcode = '42501', hint = 'let your backend ask; docs/supabase.md says how pages may';
    end if;
    if new.network = 'AT-iShare'
        and new.status = 'updating'
        and new.metadata ->> 'new_status' is not null
        and rowcall.is_paid(new.metadata ->> 'new_status')
        and (tg_op = 'INSERT' or not rowcall.is_paid(rowcall.order_standing(old.status, old.metadata)))
        -- What somebody else asked for, and is not done yet, stays asked for.
        and (
            tg_op = 'INSERT'
            or old.status is distinct from 'updating'
            or old.metadata -> 'new_status' is distinct from new.metadata -> 'new_status'
        )
    then
        raise exception 'a browser may not make order % %: its bundle would be bought', new.id, left(new.metadata ->> 'new_status', 40)
            using errcode = '42501', hint = 'let your backend do so, when it is paid';
    end if;
    return new;
end
$$;

-- Refuses who asks too fast. It comes after the stamp, so only requests count. It counts what the user has asked in the last minute
-- on the rows themselves, and writes nothing. A row that is asked for again within that minute is not counted twice; it
-- must wait for as long as it would take at that pace to ask for all of them. Transactions of one user that ask at the same
-- moment cannot see each other, so each but one of them may ask for a single row: nobody waits for a lock.
create or replace function rowcall.limit_browser() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
declare
    since constant timestamptz := now() - interval '1 minute';
    transaction constant text := pg_current_xact_id()::text;
    rules rowcall.browser_tables;
    asked integer;
    rest interval;
begin
    select b.* into rules from rowcall.browser_tables as b where b.table_name = tg_table_name;
    if rules.per_minute is null
        or tg_table_schema <> 'public'
        or not coalesce(to_jsonb(new) ->> 'status' = any (rules.asks), true)
    then
        return new;
    end if;

    if not pg_try_advisory_xact_lock(hashtextextended(format('rowcall browser %s', new.requested_by), 0)) then
        if current_setting('rowcall.asked_beside', true) = transaction then
            raise exception 'other requests of yours are being written at this moment'
                using errcode = 'PT429', hint = 'ask for many rows one request after the other, or for all of them in one';
        end if;
        perform set_config('rowcall.asked_beside', transaction, true);
    end if;

    execute format(
        'select count(*) from (
            select from %s as t where t.requested_by = $1 and t.requested_at > $2 limit $3
        ) as a',
        tg_relid::regclass
    ) into asked using new.requested_by, since, rules.per_minute;
    rest := interval '0';
    if tg_op = 'UPDATE' and old.requested_by = new.requested_by and old.requested_at > since then
        rest := old.requested_at + asked * interval '1 minute' / rules.per_minute - now();
    elsif asked >= rules.per_minute then
        rest := interval '1 minute';
    end if;
    if rest > interval '0' then
        raise exception 'you ask faster than % rows of % a minute', rules.per_minute, tg_table_name
            using errcode = 'PT429',
                hint = format(
                    'wait %s s; the bound is per_minute in rowcall.browser_tables',
                    to_char(extract(epoch from rest), 'FM990.0')
                );
    end if;
    return new;
end
$$;
