-- Who may do what. Nothing is left to default privileges, so a cluster with other defaults gives the same result.

revoke all on schema rowcall from public;
revoke all on all tables in schema rowcall from public;
revoke all on all functions in schema rowcall from public;

alter table public.codes enable row level security;
revoke all on public.codes from public;

-- Only where Supabase's roles exist: a browser reads rows and asks; which rows is for policies to say (none ship, so none
-- are visible until one is written). Claim, attempt and result columns are the worker's alone.
do $$
begin
    if to_regrole('anon') is not null then
        revoke all on all tables in schema rowcall from anon;
        revoke all on schema rowcall from anon;
        revoke all on public.codes from anon;
    end if;
    if to_regrole('authenticated') is not null then
        revoke all on all tables in schema rowcall from authenticated;
        revoke all on schema rowcall from authenticated;
        revoke all on public.codes from authenticated;
        grant select, insert (code, status, metadata), update (status, metadata, updated_at) on public.codes to authenticated;
    end if;
    if to_regrole('service_role') is not null then
        revoke all on public.codes from service_role;
        grant select, insert, update, delete on public.codes to service_role;
    end if;
end
$$;
