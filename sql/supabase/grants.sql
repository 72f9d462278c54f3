-- Who may do what. Nothing is left to default privileges, so a cluster with other defaults gives the same result.

revoke all on schema rowcall from public;
revoke all on all tables in schema rowcall from public;
revoke all on all functions in schema rowcall from public;

alter table public.codes enable row level security;
alter table public.contacts enable row level security;
alter table public.messages enable row level security;
alter table public.actions enable row level security;
alter table public.action_responses enable row level security;
alter table public.response_templates enable row level security;
alter table public.requests enable row level security;
alter table public.fluent_tickets enable row level security;
alter table public.fluent_sync_status enable row level security;
alter table public.fluent_urgencies enable row level security;
alter table public.fluent_categories enable row level security;
revoke all on public.codes, public.contacts, public.messages, public.actions, public.action_responses, public.response_templates
from public;
revoke all on public.requests, public.fluent_tickets, public.fluent_sync_status, public.fluent_urgencies, public.fluent_categories
from public;

-- Only where Supabase's roles exist: a browser reads rows and asks; which rows is for policies to say (none ship, so none
-- are visible until one is written). Claim, attempt and result columns are the worker's alone.
do $$
declare
    tables constant text := 'public.codes, public.contacts, public.messages, public.actions, public.action_responses, public.response_templates, '
        'public.requests, public.fluent_tickets, public.fluent_sync_status, public.fluent_urgencies, public.fluent_categories';
begin
    if to_regrole('anon') is not null then
        revoke all on all tables in schema rowcall from anon;
        revoke all on schema rowcall from anon;
        execute format('revoke all on %s from anon', tables);
    end if;
    if to_regrole('authenticated') is not null then
        revoke all on all tables in schema rowcall from authenticated;
        revoke all on schema rowcall from authenticated;
        execute format('revoke all on %s from authenticated', tables);
        grant select, insert (code, status, metadata), update (status, metadata, updated_at) on public.codes to authenticated;
        grant select, update (status, user_response) on public.actions to authenticated;
        grant select on public.contacts, public.messages, public.action_responses to authenticated;
        grant select, insert (date_filter, is_full) on public.fluent_sync_status to authenticated;
        grant select on public.fluent_tickets, public.fluent_urgencies, public.fluent_categories to authenticated;
        grant
            select,
            update (date, time, description, urgency, category, website_url, hours, edited_columns, updated_at)
            on public.requests to authenticated;
    end if;
    if to_regrole('service_role') is not null then
        execute format('revoke all on %s from service_role', tables);
        execute format('grant select, insert, update, delete on %s to service_role', tables);
    end if;
end
$$;
