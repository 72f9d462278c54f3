-- What the migrations of every queue ask of tables that their users had before rowcall.

-- Remembers which of these tables were there before. The marker is a type that the migration makes afterwards, so it tells
-- the first run from a repeated one.
create or replace function rowcall.note_adopted(relations text[], marker text) returns void
language sql
set search_path = ''
as $$
    insert into rowcall.adopted (table_name)
    select r.name
    from unnest(relations) as r (name)
    where pg_catalog.to_regclass(pg_catalog.format('public.%I', r.name)) is not null
      and pg_catalog.to_regtype(marker) is null
    on conflict do nothing
$$;

-- A column that rowcall reads must be there and fit; else the migration ends with what mends it.
create or replace function rowcall.require_column(relation text, column_name text, types text[], mend text) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    found text;
begin
    select regexp_replace(format_type(a.atttypid, null), '^.*\.', '')
    into found
    from pg_attribute as a
    where a.attrelid = format('public.%I', relation)::regclass
      and a.attname = column_name
      and not a.attisdropped;
    if found is null then
        raise exception 'public.% has no column %', relation, column_name using hint = mend;
    elsif found <> all (types) then
        raise exception 'public.%.% is of type %, rowcall needs %', relation, column_name, found, array_to_string(types, ' or ')
            using hint = mend;
    end if;
end
$$;

-- Of what rowcall itself carries, a table may have columns of the same names; they must be such that neither the stamp in
-- a user's transaction nor the worker's statements fail on them. `renamed` gives the names that a table has for some of them.
create or replace function rowcall.require_carried(
    relation text, marker text, most_attempts integer, renamed jsonb default '{}'
) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
    carried record;
    is_first constant boolean := to_regtype(marker) is null;
    has_values boolean := false;
begin
    for carried in
        select
            a.attname as name,
            format('public.%I.%I', relation, a.attname) as place,
            n.types,
            n.given,
            n.name like 'claim%' or n.name = 'error_message' as is_emptied,
            n.name like 'claim%' as is_claim,
            format_type(a.atttypid, a.atttypmod) as found,
            a.attnotnull as is_filled,
            a.atthasdef as has_default,
            a.attgenerated <> '' or a.attidentity <> '' as is_generated
        from (values
            ('updated_at', '{timestamp with time zone,timestamp without time zone,date}'::text[], null),
            ('attempts', '{integer}', '0'),
            ('max_attempts', '{integer}', most_attempts::text),
            ('next_retry_at', '{timestamp with time zone}', 'now()'),
            ('error_message', '{text,character varying}', null),
            ('generation', '{integer}', '0'),
            ('claim_token', '{uuid}', null),
            ('claimed_by', '{uuid}', null),
            ('claimed_until', '{timestamp with time zone}', null),
            ('requested_by', '{text,character varying}', null),
            ('requested_at', '{timestamp with time zone}', null)
        ) as n (name, types, given)
        join pg_attribute as a on a.attname = coalesce(renamed ->> n.name, n.name)
        where a.attrelid = format('public.%I', relation)::regclass
          and not a.attisdropped
        order by a.attnum
    loop
        if carried.is_generated then
            raise exception '% is generated, rowcall writes it', carried.place
                using hint = format('alter table public.%1$I rename column %2$I to own_%2$s', relation, carried.name);
        end if;
        if is_first and carried.is_claim then
            execute format('select exists (select from public.%I where %I is not null)', relation, carried.name) into has_values;
        end if;
        if has_values then
            raise exception '% has values of your own, rowcall keeps its claims there', carried.place
                using hint = format('alter table public.%1$I rename column %2$I to own_%2$s', relation, carried.name);
        elsif regexp_replace(carried.found, '\(\d+\)', '') <> all (carried.types) or carried.found like 'character varying(%' then
            raise exception '% is of type %, rowcall needs %', carried.place, carried.found, carried.types[1]
                using hint = format(
                    'alter table public.%3$I rename column %1$I to own_%1$s, or, if it means the same: '
                        'alter table public.%3$I alter column %1$I drop default, alter column %1$I type %2$s using %1$I::text::%2$s',
                    carried.name, carried.types[1], relation
                );
        elsif carried.given is not null and not (carried.is_filled and carried.has_default) then
            raise exception '% may be null or has no default, rowcall needs it filled', carried.place
                using hint = format(
                    'update public.%3$I set %1$I = %2$s where %1$I is null; '
                        'alter table public.%3$I alter column %1$I set default %2$s, alter column %1$I set not null',
                    carried.name, carried.given, relation
                );
        elsif carried.is_emptied and (carried.is_filled or carried.has_default) then
            raise exception '% may not be null or has a default, rowcall empties it', carried.place
                using hint = format(
                    'alter table public.%2$I alter column %1$I drop not null, alter column %1$I drop default',
                    carried.name, relation
                );
        end if;
    end loop;
end
$$;

-- Keys travel as text; this domain is what they are read back as, whatever the type of the users' id.
create or replace function rowcall.make_key(marker text, relation text) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    if not exists (
        select
        from pg_index as i
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = format('public.%I', relation)::regclass
          and i.indisunique
          and i.indnkeyatts = 1
          and i.indpred is null
          and a.attname = 'id'
    ) then
        raise exception 'public.%.id is not unique', relation
            using hint = format('alter table public.%I add primary key (id)', relation);
    end if;
    if to_regtype(marker) is null then
        execute format('create domain %s as %s', marker, (
            select format_type(a.atttypid, a.atttypmod)
            from pg_attribute as a
            where a.attrelid = format('public.%I', relation)::regclass
              and a.attname = 'id'
        ));
    end if;
end
$$;

-- Adds a check once; `add constraint` has no `if not exists`.
create or replace function rowcall.add_check(relation text, constraint_name text, rule text) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    if not exists (
        select
        from pg_constraint as c
        where c.conrelid = format('public.%I', relation)::regclass
          and c.conname = constraint_name
    ) then
        execute format('alter table public.%I add constraint %I check (%s)', relation, constraint_name, rule);
    end if;
end
$$;

-- Whether a check of a table lets all of these rows in, as far as their columns tell; a column left out is null.
create or replace function rowcall.takes(rule pg_catalog.pg_constraint, variadic candidates jsonb[]) returns boolean
language plpgsql
set search_path = pg_catalog
as $$
declare
    is_refused boolean;
begin
    execute format(
        'select exists (select from unnest($1) as c (given) cross join lateral jsonb_populate_record(null::%1$s, c.given) as %2$I where not (%3$s))',
        rule.conrelid::regclass, (select t.relname from pg_class as t where t.oid = rule.conrelid),
        pg_get_expr(rule.conbin, rule.conrelid)
    ) into is_refused using candidates;
    return not is_refused;
end
$$;
