-- Doctor: what keeps memberships from their CRM, webhooks from their client, and changes from browsers.
select
    'memberships' as subject,
    'problem' as state,
    format('the tier %s of client %s names no %s, so its members cannot be told to the CRM', s.name, c.id, m.what) as found,
    format('update public.club_stages set %I = %L where id = %L;', m.name, '…', s.id) as mend
from public.club_stages as s
join public.clients as c on c.id = s.client_id
cross join lateral (
    select
        case c.crm_type when 'commerce7' then 'crm_club_id' else 'tag' end as name,
        case c.crm_type when 'commerce7' then 'club of Commerce7' else 'tag of Shopify' end as what,
        case c.crm_type when 'commerce7' then s.crm_club_id else s.tag end as value
) as m
where s.is_active
  and coalesce(btrim(m.value), '') = ''
union all
select
    'memberships',
    'problem',
    format('the %s client %s names no account', c.crm_type, c.id),
    format('update public.clients set %I = %L where id = %L;', case c.crm_type when 'commerce7' then 'tenant' else 'shop' end, '…', c.id)
from public.clients as c
where coalesce(btrim(case c.crm_type when 'commerce7' then c.tenant else c.shop end), '') = ''
union all
select
    'memberships',
    'note',
    format('client %s has no active tier, so no order enrolls anybody', c.id),
    'insert into public.club_stages (client_id, name, threshold, …) values (…);'
from public.clients as c
where not exists (select from public.club_stages as s where s.client_id = c.id and s.is_active)
union all
select
    'memberships',
    'note',
    format('%s webhooks of the last day came from %s %s, which no client has', count(*), n.crm_type, n.account),
    'insert into public.clients (crm_type, tenant, shop) values (…); or end the webhook in the CRM'
from rowcall.crm_notices as n
where n.answer = 'no client has this account'
  and n.heard_at > now() - interval '1 day'
group by n.crm_type, n.account
union all
select
    'realtime',
    'note',
    format('supabase_realtime leaves out public.%I, whose rows have neither a primary key nor another replica identity', r.relation),
    format('alter table public.%I add primary key (id); then rowcall migrate', r.relation)
from unnest(rowcall.realtime_tables()) as r (relation)
where exists (select from pg_publication as p where p.pubname = 'supabase_realtime')
  and not rowcall.is_identified(r.relation)
order by 1, 3
