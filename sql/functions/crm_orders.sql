-- The rule: what an order makes of a customer. A paid order that reaches a tier enrolls; one that reaches a higher tier than
-- the customer's upgrades; a refund or a cancellation is recorded and left to a person.
--
-- Everything here may come late, twice, or out of order. An order is decided by the newest that is known of it, once;
-- only where it comes to more than it did is it decided anew. Amounts are numeric and are compared within one currency.

-- An amount as a CRM writes it; null where it is none.
create or replace function rowcall.crm_amount(written text) returns numeric
language sql
immutable
parallel safe
return case when written ~ '^-?[0-9]{1,10}(\.[0-9]{1,4})?$' then written::numeric end;

-- The customer that a CRM names: by its id, else by the e-mail address, unless that is one whom the CRM knows by another id;
-- made where there is none, and kept as the CRM tells. Null where it names nobody, or somebody whom a unique key of the users'
-- own table has no room for. Whoever calls this holds the client's lock, so that nobody is made twice.
create or replace function rowcall.crm_customer(client rowcall.clients_key, named jsonb) returns rowcall.customers_key
language plpgsql
set search_path = pg_catalog
as $$
declare
    crm_id constant text := nullif(btrim(named ->> 'id'), '');
    address constant text := nullif(btrim(named ->> 'email'), '');
    found rowcall.customers_key;
begin
    if crm_id is null and address is null then
        return null;
    end if;
    select u.id
    into found
    from public.customers as u
    where u.client_id = client
      -- Shopify has two ways of writing it.
      and u.crm_customer_id = any (array[crm_id, 'gid://shopify/Customer/' || crm_id])
    order by u.id
    limit 1;
    if found is null then
        select u.id
        into found
        from public.customers as u
        where u.client_id = client
          and lower(u.email) = lower(address)
          and (crm_id is null or coalesce(btrim(u.crm_customer_id), '') = '')
        order by u.crm_customer_id is not null, u.id
        limit 1;
    end if;
    if found is null then
        insert into public.customers (client_id, crm_customer_id, email, first_name, last_name)
        values (client, crm_id, address, named ->> 'first_name', named ->> 'last_name')
        on conflict do nothing
        returning id
        into found;
        return found;
    end if;
    begin
        update public.customers as u
        set crm_customer_id = coalesce(crm_id, u.crm_customer_id),
            email = coalesce(address, u.email),
            first_name = coalesce(named ->> 'first_name', u.first_name),
            last_name = coalesce(named ->> 'last_name', u.last_name),
            updated_at = now()
        where u.id = found
          and (u.crm_customer_id, u.email, u.first_name, u.last_name) is distinct from (
              coalesce(crm_id, u.crm_customer_id), coalesce(address, u.email), coalesce(named ->> 'first_name', u.first_name),
              coalesce(named ->> 'last_name', u.last_name)
          );
    exception when unique_violation then
        -- The new address is somebody else's in the users' own table: the row stays as it is.
        null;
    end;
    return found;
end
$$;

-- Whether a CRM names anybody.
create or replace function rowcall.crm_names(named jsonb) returns boolean
language sql
immutable
parallel safe
return coalesce(nullif(btrim(named ->> 'id'), ''), nullif(btrim(named ->> 'email'), '')) is not null;

-- Gives a customer a tier, unless they have it or a higher one, and asks the CRM for it. Says what it did.
create or replace function rowcall.enroll(
    whom rowcall.customers_key, stage rowcall.club_stages_key, why text, out enrollment rowcall.enrollments_key, out decision text
)
language plpgsql
set search_path = pg_catalog
as $$
declare
    -- Before expiries: the customer has just paid.
    urgent constant integer := 10;
    who public.customers;
    tier public.club_stages;
    had record;
    is_moved boolean;
begin
    -- The expiry of enrollments locks the customer too: so the flag is true to whichever is later.
    select u.* into who from public.customers as u where u.id = whom for no key update;
    select s.* into tier from public.club_stages as s where s.id = stage;

    -- The highest that can be compared, else any.
    select
        e.id, s.id as stage_id, s.name, s.threshold, coalesce(m.is_comparable, true) as is_comparable,
        rowcall.is_same_club(c.crm_type, s.crm_club_id, s.tag, tier.crm_club_id, tier.tag) as is_same_club
    into had
    from public.enrollments as e
    join public.club_stages as s on s.id = e.stage_id
    join public.clients as c on c.id = who.client_id
    cross join lateral (
        select s.id = tier.id or coalesce(s.currency, c.currency) = coalesce(tier.currency, c.currency) as is_comparable
    ) as m
    where e.customer_id = whom
      and e.status = 'active'
      and (e.expires_at is null or e.expires_at > now())
    order by coalesce(m.is_comparable, true) desc, s.threshold desc, e.id desc
    limit 1;

    if not had.is_comparable then
        decision := format('the customer has the tier %s in another currency: nobody but a person can say which is higher', had.name);
        return;
    end if;
    if had.threshold >= tier.threshold then
        decision := format('the customer has the tier %s already', had.name);
        return;
    end if;

    insert into public.enrollments (customer_id, stage_id, status, enrolled_at, expires_at)
    values (whom, stage, 'active', now(), now() + tier.duration)
    returning id
    into enrollment;
    update public.customers as u
    set is_member = true,
        member_since = coalesce(u.member_since, now()),
        updated_at = now()
    where u.id = whom
      and (not u.is_member or u.member_since is null);
    if had.id is not null then
        update public.enrollments as e
        set status = 'upgraded',
            ended_at = now()
        where e.id = had.id;
    end if;

    -- Two tiers of one club: there is nothing to leave.
    is_moved := had.id is not null and not had.is_same_club;
    insert into public.crm_sync_queue (
        client_id, customer_id, enrollment_id, action_type, stage_id, old_stage_id, customer_crm_id, reason, priority, created_at
    )
    -- The order of a customer's rows is that in which their lock was held, not that in which transactions began.
    values (
        who.client_id, whom, enrollment, case when is_moved then 'upgrade_membership' else 'add_membership' end, stage,
        case when is_moved then had.stage_id end, who.crm_customer_id, why, urgent, clock_timestamp()
    );
    -- What goes before it, goes before it soon.
    update public.crm_sync_queue as q
    set priority = urgent
    where q.id = any (array(
        select o.id
        from public.crm_sync_queue as o
        where o.customer_id = whom
          and o.status = 'pending'
          and o.priority < urgent
        for no key update skip locked
    ));
    decision := case
        when had.id is null then format('enrolled in %s', tier.name)
        else format('upgraded from %s to %s', had.name, tier.name)
    end;
end
$$;

-- Takes in what is told of an order, and decides. Says what was made of it.
create or replace function rowcall.tell_crm_order(client rowcall.clients_key, notice jsonb) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant text := notice ->> 'order_id';
    event constant text := notice ->> 'event';
    state constant text := notice ->> 'financial_state';
    told_at constant timestamptz := notice ->> 'at';
    told_total constant numeric := rowcall.crm_amount(notice ->> 'total');
    told_currency constant text := upper(nullif(btrim(notice ->> 'currency'), ''));
    is_refund constant boolean := event = 'refunds/create';
    refund constant text := coalesce(notice ->> 'refund_id', notice ->> 'webhook_id');
    o public.crm_orders;
    home_currency text;
    who rowcall.customers_key;
    is_news boolean;
    is_vague boolean;
    returned text;
    amount numeric;
    tier record;
    made record;
begin
    if coalesce(wanted, '') = '' then
        return 'names no order';
    end if;
    -- One at a time of a client: neither an order nor a customer is made twice.
    perform pg_advisory_xact_lock(hashtextextended(format('rowcall crm %s', client), 0));
    select c.currency into home_currency from public.clients as c where c.id = client;
    insert into public.crm_orders (client_id, crm_order_id) values (client, wanted) on conflict do nothing;
    select r.* into o from public.crm_orders as r where r.client_id = client and r.crm_order_id = wanted for no key update;
    who := coalesce(rowcall.crm_customer(client, notice -> 'customer'), o.customer_id);

    -- What has happened has happened, however late it is told; how things stand is told by the newest.
    is_news := not is_refund and (told_at is null or o.told_at is null or told_at >= o.told_at);
    if is_refund then
        if told_currency is null or told_currency = coalesce(o.currency, told_currency) then
            -- By its own id: it may be told under several webhooks' ids.
            o.refunds := o.refunds || jsonb_build_object(
                refund, greatest(coalesce(told_total, 0), (o.refunds ->> refund)::numeric)
            );
            o.refunded := (select sum(r.amount::numeric) from jsonb_each_text(o.refunds) as r (id, amount));
            o.currency := coalesce(o.currency, told_currency);
        end if;
    elsif is_news then
        o.total := coalesce(told_total, o.total);
        o.currency := coalesce(told_currency, o.currency);
        o.financial_state := coalesce(state, case event when 'orders/paid' then 'paid' end, o.financial_state);
        o.told_at := coalesce(told_at, o.told_at);
    end if;
    if event = 'orders/cancelled' or (is_news and state in ('cancelled', 'canceled')) then
        o.cancelled_at := coalesce(o.cancelled_at, told_at, now());
    end if;

    amount := o.total - o.refunded;
    returned := case
        when o.cancelled_at is not null then 'cancelled'
        when o.financial_state in ('refunded', 'fully_refunded', 'voided') or (o.total > 0 and amount <= 0) then 'refunded'
    end;
    -- Commerce7 says that something was paid back, and not how much.
    is_vague := o.financial_state = 'partially_refunded' and notice ->> 'crm_type' = 'commerce7' and o.refunded = 0;
    if o.enrollment_id is not null and (returned is not null or amount < o.decided_amount or is_vague) then
        o.decision := format(
            '%s; %s since, look whether the membership is to stay',
            split_part(o.decision, ';', 1), coalesce(returned, 'refunded in part')
        );
    elsif o.enrollment_id is not null and amount <= o.decided_amount then
        null;
    elsif returned is not null then
        o.decision := returned;
    elsif is_vague then
        o.decision := 'refunded in part, and Commerce7 does not say how much: look whether the customer is to be a member';
    elsif o.financial_state is null or o.financial_state not in ('paid', 'partially_refunded') then
        o.decision := 'not paid';
    elsif who is null and rowcall.crm_names(notice -> 'customer') then
        o.decision := 'names a customer whose e-mail address another customer has: merge them, or change one of them';
    elsif who is null then
        o.decision := 'names no customer';
    elsif amount is null then
        o.decision := 'has no total';
    elsif o.decided_amount is null or amount > o.decided_amount then
        select s.id, coalesce(s.currency, home_currency) = coalesce(o.currency, home_currency) as is_comparable
        into tier
        from public.club_stages as s
        where s.client_id = client
          and s.is_active
          and s.threshold <= amount
          and amount > 0
        order by
            coalesce(coalesce(s.currency, home_currency) = coalesce(o.currency, home_currency), true) desc,
            s.threshold desc, s.id desc
        limit 1;
        if tier.id is null then
            o.decision := 'below every tier';
        elsif not tier.is_comparable then
            o.decision := 'in another currency than the tiers';
        else
            select e.* into made from rowcall.enroll(who, tier.id, format('order %s', wanted)) as e;
            if made.enrollment is not null or o.enrollment_id is null then
                o.decision := made.decision;
                o.enrollment_id := made.enrollment;
            end if;
        end if;
        o.decided_amount := amount;
    end if;

    update public.crm_orders as r
    set customer_id = who,
        enrollment_id = o.enrollment_id,
        total = o.total,
        refunds = o.refunds,
        refunded = o.refunded,
        currency = o.currency,
        financial_state = o.financial_state,
        cancelled_at = o.cancelled_at,
        told_at = o.told_at,
        decided_amount = o.decided_amount,
        decision = o.decision,
        updated_at = now()
    where r.id = o.id;
    return o.decision;
end
$$;

-- The same, of an order that was read at its CRM. Whoever holds a row locked must not hold up a batch of outcomes: the
-- statement fails soon, and is tried again without the others.
create or replace function rowcall.settle_crm_order(client rowcall.clients_key, notice jsonb) returns text
language sql
set search_path = pg_catalog
set lock_timeout = '200ms'
as $$
    select rowcall.tell_crm_order(client, notice)
$$;

-- Takes a notice that proved itself, once, and says what was made of it; null while no client has the account: then it is only
-- noted, and is to come again. Shopify's is signed and whole, so it goes through the rule at once. Commerce7's may be
-- anybody's who knows the login, and may be old: the order is asked for, and the queue crm_orders reads it.
create or replace function rowcall.hear_crm(notice jsonb) returns text
language plpgsql
set search_path = pg_catalog
set lock_timeout = '3s'
as $$
declare
    unclaimed constant text := 'no client has this account';
    is_order constant boolean := coalesce(notice ->> 'order_id', '') <> '';
    client rowcall.clients_key;
    said text;
begin
    select a.client_id
    into client
    from rowcall.crm_accounts as a
    where a.crm_type = notice ->> 'crm_type'
      and a.target = rowcall.crm_target(notice ->> 'crm_type', notice ->> 'tenant_or_shop', notice ->> 'tenant_or_shop')
    order by a.client_id
    limit 1;

    insert into rowcall.crm_notices as n (crm_type, account, webhook_id, event, crm_order_id, answer)
    values (
        notice ->> 'crm_type', notice ->> 'tenant_or_shop', notice ->> 'webhook_id', notice ->> 'event', notice ->> 'order_id',
        case when client is null and is_order then unclaimed end
    )
    on conflict (crm_type, account, webhook_id) do update
    set answer = excluded.answer,
        heard_at = now()
    where n.answer = unclaimed;
    if client is null and is_order then
        return null;
    elsif not found then
        return 'known already';
    end if;

    if not is_order then
        said := 'ignored: not about an order';
    elsif notice ->> 'crm_type' = 'shopify' then
        said := rowcall.tell_crm_order(client, notice);
    else
        insert into public.crm_orders (client_id, crm_order_id, status, webhook_id, event)
        values (client, notice ->> 'order_id', 'asked', notice ->> 'webhook_id', notice ->> 'event')
        on conflict (client_id, crm_order_id) do update
        set status = 'asked',
            webhook_id = excluded.webhook_id,
            event = excluded.event;
        said := 'the order is asked for';
    end if;

    update rowcall.crm_notices as n
    set answer = said
    where n.crm_type = notice ->> 'crm_type'
      and n.account = notice ->> 'tenant_or_shop'
      and n.webhook_id = notice ->> 'webhook_id';
    return said;
end
$$;
