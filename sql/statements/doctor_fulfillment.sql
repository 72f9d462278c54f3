-- Doctor: orders that ask for fulfilment and have no row for it, orders that show another step than their row, settings that are
-- gone, and what suppliers told of orders that nobody knows. Nothing unless $1, the queues, has fulfillment_logs.
(
    select
        'queue fulfillment_logs' as subject,
        'problem' as state,
        format('order %s asks for its bundle and has no row in public.fulfillment_logs, so it is never bought', o.id) as found,
        format('select rowcall.trigger_fulfillment(%L);', o.id) as mend
    from public.orders as o
    where o.network = 'AT-iShare'
      and o.fulfillment_status = 'pending'
      and not exists (select from public.fulfillment_logs as l where l.order_id = o.id)
      and 'fulfillment_logs' = any ($1::text[])
    order by o.id
    limit 5
)
union all
(
    select
        'queue fulfillment_logs',
        'problem',
        format('order %s shows %s, and its fulfilment is %s', o.id, coalesce(o.fulfillment_status, 'nothing'), l.status),
        format('update public.orders set fulfillment_status = %L where id = %L;', l.status, o.id)
    from public.fulfillment_logs as l
    join public.orders as o on o.id = l.order_id
    where o.fulfillment_status is distinct from l.status
      and l.generation > 0
      and 'fulfillment_logs' = any ($1::text[])
    order by l.id
    limit 5
)
union all
select
    'queue fulfillment_logs',
    'problem',
    'rowcall.fulfillment_settings has no row, so no order counts as paid',
    'rowcall migrate'
where not exists (select from rowcall.fulfillment_settings)
  and 'fulfillment_logs' = any ($1::text[])
union all
select
    'queue fulfillment_logs',
    'problem',
    format('the role %s may %s public.orders, so a browser can have bundles bought that nobody paid for', b.role, b.verb),
    format('revoke %s on public.orders from %I; and let your own server write orders, or grant it the columns that cost nothing', b.verb, b.role)
from (
    select r.rolname as role, v.verb
    from pg_roles as r
    cross join lateral (
        values
            ('insert', has_any_column_privilege(r.oid, 'public.orders', 'insert')),
            ('update', (
                select bool_or(has_column_privilege(r.oid, 'public.orders', c.name, 'update'))
                from unnest('{network,phone_number,package,status}'::text[]) as c (name)
                -- A status costs nothing while a browser may only ask for one, and not for one that is paid (triggers/browsers.sql).
                where c.name <> 'status'
                   or (
                       select count(*)
                       from pg_trigger as g
                       where g.tgrelid = 'public.orders'::regclass
                         and g.tgname in ('_010_guard_update', '_020_guard_order_update')
                         and g.tgenabled <> 'D'
                   ) < 2
                   or not exists (
                       select
                       from rowcall.browser_tables as b
                       where b.table_name = 'orders'
                         and not exists (
                             select from unnest(b.asks) as a (status) where a.status <> 'updating' and rowcall.is_paid(a.status)
                         )
                         and b.asks is not null
                   )
            ))
    ) as v (verb, is_allowed)
    where r.rolname in ('anon', 'authenticated')
      and v.is_allowed
) as b
where 'fulfillment_logs' = any ($1::text[])
union all
select
    'queue fulfillment_logs',
    'note',
    format(
        'suppliers told %s times of orders that are not known here, the last time at %s',
        count(*), to_char(max(r.told_at) at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"')
    ),
    'nothing to do, unless orders stay unfinished: select * from rowcall.supplier_reports where applied_as is null;'
from rowcall.supplier_reports as r
where r.applied_as is null
  and r.told_at between now() - interval '7 days' and now() - interval '1 hour'
  and 'fulfillment_logs' = any ($1::text[])
having count(*) > 0
