-- Supabase's realtime tells browsers of changes to these tables, where its publication exists and is ours to change. Once, so that
-- who takes a table out finds it out. A table whose rows nothing identifies is left out, since every update of it would fail; `doctor`
-- tells of it. Realtime shows a row to whom policies show it, and of it the columns that the role may select; a deleted row's key it
-- tells to everybody, and rowcall deletes none of these. It reads with wal2json, which knows nothing of a publication's lists of
-- columns, so there is none here.
do $$
declare
    relation text;
begin
    foreach relation in array rowcall.realtime_tables() loop
        if exists (
                select
                from pg_publication as p
                where p.pubname = 'supabase_realtime'
                  and not p.puballtables
                  and pg_has_role(current_user, p.pubowner, 'usage')
            )
            and not exists (
                select
                from rowcall.browser_tables as b
                where b.table_name = relation
                  and b.published_at is not null
            )
            and rowcall.is_identified(relation)
        then
            if not exists (
                select
                from pg_publication_tables as t
                where t.pubname = 'supabase_realtime'
                  and t.schemaname = 'public'
                  and t.tablename = relation
            ) then
                execute format('alter publication supabase_realtime add table public.%I', relation);
            end if;
            insert into rowcall.browser_tables (table_name, published_at)
            values (relation, now())
            on conflict (table_name) do update
            set published_at = excluded.published_at;
        end if;
    end loop;
end
$$;
