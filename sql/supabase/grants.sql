-- Who may do what. Nothing is left to default privileges, so a cluster with other defaults gives the same result.

revoke all on schema rowcall from public;
revoke all on all tables in schema rowcall from public;
revoke all on all functions in schema rowcall from public;

-- Only where Supabase's roles exist.
do $$
begin
    if to_regrole('anon') is not null then
        revoke all on all tables in schema rowcall from anon;
        revoke all on schema rowcall from anon;
    end if;
    if to_regrole('authenticated') is not null then
        revoke all on all tables in schema rowcall from authenticated;
        revoke all on schema rowcall from authenticated;
    end if;
end
$$;

-- A table that rowcall made: a browser reads rows and asks; which rows is for policies to say (none ship, so none are
-- visible until one is written). Claim, attempt and result columns are the worker's alone.
do $$
begin
    if exists (select from rowcall.adopted as a where a.table_name = 'codes') then
        return;
    end if;
    alter table public.codes enable row level security;
    revoke all on public.codes from public;
    if to_regrole('anon') is not null then
        revoke all on public.codes from anon;
    end if;
    if to_regrole('authenticated') is not null then
        revoke all on public.codes from authenticated;
        grant select, insert (code, status, metadata), update (status, metadata, updated_at) on public.codes to authenticated;
    end if;
    if to_regrole('service_role') is not null then
        revoke all on public.codes from service_role;
        grant select, insert, update, delete on public.codes to service_role;
    end if;
end
$$;

-- A table that its users had: whatever a browser may do, it may do still, except write the worker's columns. A right to
-- write the whole table becomes the same right on every column that is the users' own.
do $$
declare
    workers constant name[] := '{
        attempts,max_attempts,next_retry_at,error_message,generation,claim_token,claimed_by,claimed_until,requested_by,requested_at
    }';
    own constant text := (
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
        from pg_attribute as a
        where a.attrelid = 'public.codes'::regclass
          and a.attnum > 0
          and not a.attisdropped
          and a.attname <> all (workers)
    );
    held record;
begin
    if not exists (select from rowcall.adopted as a where a.table_name = 'codes') then
        return;
    end if;
    for held in
        select distinct coalesce(r.rolname, 'public') as grantee, g.privilege_type as privilege
        from pg_class as c
        cross join aclexplode(c.relacl) as g
        left join pg_roles as r on r.oid = g.grantee
        where c.oid = 'public.codes'::regclass
          and g.privilege_type in ('INSERT', 'UPDATE')
          and (g.grantee = 0 or r.rolname in ('anon', 'authenticated'))
          and g.grantee <> c.relowner
    loop
        -- This takes the right on single columns too.
        execute format('revoke %s on public.codes from %I', held.privilege, held.grantee);
        execute format('grant %s (%s) on public.codes to %I', held.privilege, own, held.grantee);
    end loop;
    for held in
        select distinct coalesce(r.rolname, 'public') as grantee, g.privilege_type as privilege, a.attname as name
        from pg_attribute as a
        join pg_class as c on c.oid = a.attrelid
        cross join aclexplode(a.attacl) as g
        left join pg_roles as r on r.oid = g.grantee
        where a.attrelid = 'public.codes'::regclass
          and a.attname = any (workers)
          and g.privilege_type in ('INSERT', 'UPDATE')
          and (g.grantee = 0 or r.rolname in ('anon', 'authenticated'))
          and g.grantee <> c.relowner
    loop
        execute format('revoke %s (%I) on public.codes from %I', held.privilege, held.name, held.grantee);
    end loop;
end
$$;
