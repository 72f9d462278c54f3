-- Doctor: what browsers may do with rowcall's tables that may not be meant, where Supabase is. Whether a policy is right, nobody here
-- can tell.
with browser as (
    select r.oid
    from pg_roles as r
    where r.rolname = 'authenticated'
      and exists (
          select
          from pg_proc as p
          join pg_namespace as n on n.oid = p.pronamespace
          where n.nspname = 'auth'
            and p.proname = 'uid'
      )
),

place as (
    select c.oid, c.oid::regclass as relation, c.relname, c.relrowsecurity, t.asks, r.oid as browser
    from rowcall.browser_tables as t
    join pg_class as c on c.relname = t.table_name and c.relnamespace = 'public'::regnamespace
    cross join browser as r
)

select
    'browsers' as subject,
    'note' as state,
    format('no policy says which rows of %s a browser is shown, so it is shown none', p.relation) as found,
    format('a policy of your own; or, each user''s own rows: select rowcall.own_rows(%L);', p.relname) as mend
from place as p
where p.relrowsecurity
  and has_any_column_privilege(p.browser, p.oid, 'select')
  and not exists (
      select
      from pg_policy as l
      where l.polrelid = p.oid
        and l.polpermissive
        and l.polroles && array[0, p.browser]
  )
union all
select
    'browsers',
    'note',
    format('browsers may set any status of %s, also those that only the worker should set, and as fast as they like', p.relation),
    format(
        'update rowcall.browser_tables set asks = ''{<the statuses that ask for something>}'', per_minute = 300, bytes_max = 65536 '
            'where table_name = %L;',
        p.relname
    )
from place as p
where p.asks is null
  and exists (select from pg_trigger as g where g.tgrelid = p.oid and g.tgname = '_200_limit_update')
  and has_any_column_privilege(p.browser, p.oid, 'update')
union all
select
    'browsers',
    'note',
    format('browsers may read sync_url of %s: whom an organization is told to, and perhaps a secret in it', p.relation),
    format(
        'revoke select on %1$s from authenticated; grant select (%2$s) on %1$s to authenticated;',
        p.relation,
        (
            select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
            from pg_attribute as a
            where a.attrelid = p.oid
              and a.attnum > 0
              and not a.attisdropped
              and a.attname <> 'sync_url'
        )
    )
from place as p
where p.relname = 'organizations'
  and exists (
      select
      from pg_attribute as a
      where a.attrelid = p.oid
        and a.attname = 'sync_url'
        and has_column_privilege(p.browser, p.oid, a.attnum, 'select')
  )
order by 1, 3
