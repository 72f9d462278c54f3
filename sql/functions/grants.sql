-- Who may do what with a table of a queue. A table that rowcall made: row level security is on, and a browser reads rows
-- and asks; which rows is for policies to say (sql/supabase/browsers.sql). A table that its users had: whatever a browser may do,
-- it may do still, except write the worker's columns. A column that no browser reads makes the right to read one on each of the others.
drop function if exists rowcall.grant_table(text, text, name[]);
create or replace function rowcall.grant_table(relation text, browser text, workers name[] default '{}', hidden name[] default '{}')
returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    place constant text := format('public.%I', relation);
    shown constant text := (
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
        from pg_attribute as a
        where a.attrelid = place::regclass
          and a.attnum > 0
          and not a.attisdropped
          and a.attname <> all (hidden)
    );
begin
    if exists (select from rowcall.adopted as a where a.table_name = relation) then
        perform rowcall.keep_columns(place::regclass, workers);
        return;
    end if;
    execute format('alter table %s enable row level security', place);
    execute format('revoke all on %s from public', place);
    if to_regrole('anon') is not null then
        execute format('revoke all on %s from anon', place);
    end if;
    if to_regrole('authenticated') is not null then
        execute format('revoke all on %s from authenticated', place);
        if browser <> '' then
            execute format(
                'grant %s on %s to authenticated',
                case hidden when '{}' then browser else regexp_replace(browser, '^select', format('select (%s)', shown)) end, place
            );
        end if;
    end if;
    if to_regrole('service_role') is not null then
        execute format('revoke all on %s from service_role', place);
        execute format('grant select, insert, update, delete on %s to service_role', place);
    end if;
    perform rowcall.grant_sequences(place::regclass);
end
$$;

-- The sequences behind a table's columns: whoever may insert all of a row may count, browsers may not even look.
create or replace function rowcall.grant_sequences(relation regclass) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    place regclass;
    grantee text;
begin
    for place in
        select d.objid::regclass
        from pg_depend as d
        join pg_class as c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_class'::regclass
          and d.refclassid = 'pg_class'::regclass
          and d.refobjid = relation
          and d.deptype in ('a', 'i')
    loop
        execute format('revoke all on sequence %s from public', place);
        foreach grantee in array '{anon,authenticated,service_role}'::text[] loop
            if to_regrole(grantee) is not null then
                execute format('revoke all on sequence %s from %I', place, grantee);
            end if;
        end loop;
        if to_regrole('service_role') is not null then
            execute format('grant usage, select on sequence %s to service_role', place);
        end if;
    end loop;
end
$$;

-- Lets one of Supabase's roles call a function, and none of the others. Functions are everybody's by default.
create or replace function rowcall.grant_function(signature text, caller text) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    role_name text;
begin
    execute format('revoke all on function %s from public', signature);
    foreach role_name in array '{anon,authenticated,service_role}'::text[] loop
        if to_regrole(role_name) is not null then
            execute format('revoke all on function %s from %I', signature, role_name);
        end if;
    end loop;
    if to_regrole(caller) is not null then
        execute format('grant execute on function %s to %I', signature, caller);
    end if;
end
$$;

-- Takes the right to write these columns from browsers, and from everybody. A right to write the whole table becomes the
-- same right on every column that is the users' own.
create or replace function rowcall.keep_columns(relation regclass, workers name[]) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    own constant text := (
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
        from pg_attribute as a
        where a.attrelid = relation
          and a.attnum > 0
          and not a.attisdropped
          and a.attname <> all (workers)
    );
    held record;
begin
    if workers = '{}' then
        return;
    end if;
    -- No browser empties a table: row level security would not stop it.
    for held in
        select r.rolname as name
        from pg_roles as r
        where r.rolname in ('anon', 'authenticated')
    loop
        execute format('revoke truncate, trigger, references on %s from %I', relation, held.name);
    end loop;
    for held in
        select distinct coalesce(r.rolname, 'public') as grantee, g.privilege_type as privilege
        from pg_class as c
        cross join aclexplode(c.relacl) as g
        left join pg_roles as r on r.oid = g.grantee
        where c.oid = relation
          and g.privilege_type in ('INSERT', 'UPDATE')
          and (g.grantee = 0 or r.rolname in ('anon', 'authenticated'))
          and g.grantee <> c.relowner
    loop
        -- This takes the right on single columns too.
        execute format('revoke %s on %s from %I', held.privilege, relation, held.grantee);
        execute format('grant %s (%s) on %s to %I', held.privilege, own, relation, held.grantee);
    end loop;
    for held in
        select distinct coalesce(r.rolname, 'public') as grantee, g.privilege_type as privilege, a.attname as name
        from pg_attribute as a
        join pg_class as c on c.oid = a.attrelid
        cross join aclexplode(a.attacl) as g
        left join pg_roles as r on r.oid = g.grantee
        where a.attrelid = relation
          and a.attname = any (workers)
          and g.privilege_type in ('INSERT', 'UPDATE')
          and (g.grantee = 0 or r.rolname in ('anon', 'authenticated'))
          and g.grantee <> c.relowner
    loop
        execute format('revoke %s (%I) on %s from %I', held.privilege, held.name, relation, held.grantee);
    end loop;
end
$$;

-- The tables whose changes a browser is told of by Supabase's realtime.
create or replace function rowcall.realtime_tables() returns text[]
language sql
immutable
parallel safe
return '{codes,messages,actions,orders,fulfillment_logs,crm_sync_queue,enrollments,fluent_sync_status,links,organizations}'::text[];

-- Whether a publication can tell which row of a table was updated.
create or replace function rowcall.is_identified(relation text) returns boolean
language sql
stable
set search_path = pg_catalog
as $$
    select c.relreplident = 'f'
        or exists (
            select
            from pg_index as i
            where i.indrelid = c.oid
              and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end
        )
    from pg_class as c
    where c.oid = format('public.%I', relation)::regclass
$$;
