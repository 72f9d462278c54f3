-- Which rows a browser is shown, where Supabase is: one line a table. A row of some tables has an owner; a row of others is shown
-- to whoever is shown the row that it belongs to; where neither is named, to every user. Tables that their users had before rowcall
-- stay as they are.
do $$
declare
    place record;
begin
    if not rowcall.has_supabase() then
        return;
    end if;
    for place in
        select t.*, b.owner_column
        from (values
            ('codes', 'owner', null),
            ('orders', 'owner', null),
            ('contacts', 'owner', null),
            ('clients', 'owner', null),
            ('requests', 'owner', null),
            ('fluent_sync_status', 'owner', null),
            ('links', 'owner', null),
            ('organizations', 'owner', null),
            ('actions', 'contact_id', 'contacts'),
            ('messages', 'contact_id', 'contacts'),
            ('action_responses', 'action_id', 'actions'),
            ('fulfillment_logs', 'order_id', 'orders'),
            ('customers', 'client_id', 'clients'),
            ('club_stages', 'client_id', 'clients'),
            ('crm_sync_queue', 'client_id', 'clients'),
            ('crm_orders', 'client_id', 'clients'),
            ('enrollments', 'customer_id', 'customers'),
            ('fluent_tickets', 'request_id', 'requests'),
            ('fluent_urgencies', null, null),
            ('fluent_categories', null, null)
        ) as t (relation, key, parent)
        left join rowcall.browser_tables as b on b.table_name = t.relation
        where not exists (select from rowcall.adopted as a where a.table_name = t.relation)
          -- Whoever has replaced or dropped a policy, or had one before, wants it so.
          and split_part(b.policies, ' ', 1) is not distinct from rowcall.policies_of(t.relation)
          -- A column of that name may mean something else to them; rowcall doctor tells that there is no policy.
          and (t.parent is not null or not exists (
              select
              from pg_attribute as a
              where a.attrelid = format('public.%I', t.relation)::regclass
                and a.attname = coalesce(b.owner_column, t.key)
                and not a.attisdropped
                and a.atttypid <> 'uuid'::regtype
          ))
    loop
        if place.parent is not null then
            perform rowcall.follow_rows(place.relation, place.key, place.parent);
        elsif place.key is not null then
            perform rowcall.put_owner(place.relation, coalesce(place.owner_column, place.key));
        else
            perform rowcall.put_policy(place.relation, 'true');
        end if;
    end loop;
    -- What the bound on a user's requests is counted by: one entry for each request and each
    -- outcome, none for a claim.
    create index if not exists codes_requested_idx on public.codes (requested_by, requested_at);
    create index if not exists actions_requested_idx on public.actions (requested_by, requested_at);
    create index if not exists fluent_sync_status_requested_idx on public.fluent_sync_status (requested_by, requested_at);
    create index if not exists links_requested_idx on public.links (requested_by, requested_at);
    create index if not exists orders_requested_idx on public.orders (requested_by, requested_at);
    create index if not exists organizations_requested_idx on public.organizations (requested_by, requested_at);
end
$$;
