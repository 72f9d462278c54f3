-- What the claims of both CRM queues hand to the worker of a client, and what an operation may cost.

-- The target of a client's operations: its breaker, its turns and its rate are those of this row of rowcall.targets.
create or replace function rowcall.crm_target(crm_type text, tenant text, shop text) returns text
language sql
immutable
parallel safe
return case crm_type
    when 'commerce7' then 'commerce7:' || btrim(tenant)
    else crm_type || ':' || regexp_replace(lower(btrim(shop)), '\.myshopify\.com$', '')
end;

-- How many calls of the CRM an operation makes at most; what it did not need is given back when it is settled.
create or replace function rowcall.crm_calls(operation text) returns integer
language sql
immutable
parallel safe
return case operation when 'add_membership' then 6 when 'cancel_membership' then 5 when 'upgrade_membership' then 9 else 2 end;

-- The client's account with its own credentials, where it has any. They are handed to the worker and stand nowhere else.
create or replace function rowcall.crm_account(wanted rowcall.clients_key) returns jsonb
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return (
        select jsonb_build_object(
            'client_id', c.id,
            'crm_type', c.crm_type,
            'tenant', c.tenant,
            'shop', c.shop,
            'credentials', (
                select jsonb_build_object('app_id', s.app_id, 'key', s.key, 'access_token', s.access_token)
                from rowcall.crm_credentials as s
                where s.client_id = c.id
            )
        )
        from public.clients as c
        where c.id = wanted
    );
end
$$;

-- A tier, as the CRM knows it.
create or replace function rowcall.crm_club(wanted rowcall.club_stages_key) returns jsonb
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return (
        select jsonb_build_object(
            'name', s.name,
            'crm_club_id', s.crm_club_id,
            'tag', s.tag,
            'pickup_inventory_location_id', s.pickup_inventory_location_id
        )
        from public.club_stages as s
        where s.id = wanted
    );
end
$$;

-- Whether two tiers are one to the CRM: then leaving one would leave the other too.
create or replace function rowcall.is_same_club(
    crm_type text, club_id text, tag text, other_club_id text, other_tag text
) returns boolean
language sql
immutable
parallel safe
return coalesce(case crm_type when 'commerce7' then club_id = other_club_id else lower(tag) = lower(other_tag) end, false);

-- What signs the webhooks of a shop, where its client has a secret of its own. A shop's name is not signed: so a secret that
-- one shop's app has must not be good for another's.
create or replace function rowcall.crm_webhook_secret(shop text) returns text
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return (
        select nullif(btrim(s.webhook_secret), '')
        from rowcall.crm_accounts as a
        left join rowcall.crm_credentials as s on s.client_id = a.client_id
        where a.crm_type = 'shopify'
          and a.target = rowcall.crm_target('shopify', null, shop)
        order by a.client_id
        limit 1
    );
end
$$;
