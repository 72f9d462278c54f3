-- Doctor: whether this connection's role may do with the tables of queues $1, and with rowcall's, what a worker does.
-- Objects are found by name in the catalog: to_regclass fails for a role that may not use the schema.
with queue_table as (
    select c.oid::regclass as relation
    from pg_class as c
    where c.relnamespace = 'public'::regnamespace
      and c.relname = any ($1::text[] || case when 'fulfillment_logs' = any ($1::text[]) then array['orders'] end
          || case when 'fienta_checks' = any ($1::text[]) then array['codes'] end)
),

wanted (relation, privileges) as (
    select c.oid::regclass, o.privileges
    from (values
        ('schema_migrations', '{select}'::text[]),
        ('installed', '{select}'),
        ('queues', '{select,update}'),
        ('workers', '{select,insert,update,delete}'),
        ('adopted', '{select}'),
        ('browser_tables', '{select}'),
        ('targets', '{select,insert,update}'),
        ('slots', '{select,insert,delete}'),
        ('attempts', '{select,insert,delete}'),
        ('schedules', '{select,update}'),
        ('schedule_runs', '{select,insert,update,delete}'),
        ('schedule_health', '{select}'),
        ('contact_turns', '{select,insert,update}'),
        ('number_turns', '{select,insert,update}'),
        ('fulfillment_settings', '{select}'),
        ('supplier_reports', '{select,insert,update,delete}'),
        ('crm_credentials', '{select}'),
        ('crm_notices', '{select,insert,update,delete}'),
        ('crm_accounts', '{select}'),
        ('cron_job', '{select}'),
        ('cron_job_run_details', '{select}'),
        ('fluent_pages', '{select,insert,update,delete}'),
        ('fluent_mapped', '{select}'),
        ('slugs', '{select,insert}'),
        ('gone_endpoints', '{select,insert,delete}'),
        ('answers', '{select,insert,delete}'),
        ('work', '{select}'),
        ('queue_health', '{select}'),
        ('history', '{select}')
    ) as o (name, privileges)
    join pg_class as c on c.relname = o.name
    join pg_namespace as n on n.oid = c.relnamespace and n.nspname = 'rowcall'
    union all
    select q.relation, '{select,insert,update}'
    from queue_table as q
    union all
    -- What the statements of actions read and write beside their table.
    select c.oid::regclass, o.privileges
    from (values
        ('contacts', '{select,insert,update}'::text[]),
        ('messages', '{select,insert,update}'),
        ('action_responses', '{select,insert,update}'),
        ('response_templates', '{select}')
    ) as o (name, privileges)
    join pg_class as c on c.relname = o.name and c.relnamespace = 'public'::regnamespace
    where 'actions' = any ($1::text[])
    union all
    -- The same of memberships.
    select c.oid::regclass, o.privileges
    from (values
        ('clients', '{select}'::text[]),
        ('customers', '{select,insert,update}'),
        ('club_stages', '{select}'),
        ('enrollments', '{select,insert,update}'),
        ('crm_orders', '{select,insert,update}')
    ) as o (name, privileges)
    join pg_class as c on c.relname = o.name and c.relnamespace = 'public'::regnamespace
    where '{crm_sync_queue,crm_orders}' && $1::text[]
    union all
    -- And those of syncs.
    select c.oid::regclass, o.privileges
    from (values
        ('requests', '{select,insert,update}'::text[]),
        ('fluent_tickets', '{select,insert,update}'),
        ('fluent_urgencies', '{select}'),
        ('fluent_categories', '{select}')
    ) as o (name, privileges)
    join pg_class as c on c.relname = o.name and c.relnamespace = 'public'::regnamespace
    where 'fluent_sync_status' = any ($1::text[])
),

-- Row level security hides rows of what a queue reads beside its table just as well.
row_table as (
    select distinct w.relation
    from wanted as w
    join pg_class as c on c.oid = w.relation
    where c.relnamespace = 'public'::regnamespace
),

lacking as (
    select w.relation, string_agg(p.privilege, ', ' order by p.privilege) as privileges
    from wanted as w
    cross join unnest(w.privileges) as p (privilege)
    where not has_table_privilege(w.relation, p.privilege)
    group by w.relation
),

lacking_function as (
    select p.oid::regprocedure as signature
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    join (values ('rowcall', null), ('public', '^(test_)?process_(expired_enrollments|crm_sync_queue)$')) as o (schema, names)
        on o.schema = n.nspname and (o.names is null or p.proname ~ o.names)
    where p.prorettype <> 'trigger'::regtype
      and not has_function_privilege(p.oid, 'execute')
)

select
    'row security' as subject,
    'problem' as state,
    format(
        'it hides rows of %s from the role %s%s', q.relation, current_user,
        case when q.relation in (select t.relation from queue_table as t) then ', so they are never claimed' end
    ) as found,
    format(
        'create policy rowcall_worker on %s to %I using (true) with check (true);', q.relation, current_user
    ) as mend
from row_table as q
where row_security_active(q.relation)
  and not exists (
      select
      from pg_policy as p
      where p.polrelid = q.relation
        and p.polpermissive
        and p.polcmd = '*'
        and pg_get_expr(p.polqual, p.polrelid) = 'true'
        and (p.polroles = '{0}' or current_user::regrole::oid = any (p.polroles))
  )
union all
select
    'privileges',
    'problem',
    format('the role %s may not use the schema rowcall', current_user),
    format('grant usage on schema rowcall to %I;', current_user)
from pg_namespace as n
where n.nspname = 'rowcall'
  and not has_schema_privilege(n.oid, 'usage')
union all
select
    'privileges',
    'problem',
    format('the role %s lacks %s on %s', current_user, l.privileges, l.relation),
    format('grant %s on %s to %I;', l.privileges, l.relation, current_user)
from lacking as l
union all
select
    'privileges',
    'problem',
    format('the role %s may not execute %s', current_user, f.signature),
    format('grant execute on function %s to %I;', f.signature, current_user)
from lacking_function as f
order by 1, 3
