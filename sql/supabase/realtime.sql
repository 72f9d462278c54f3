-- Supabase's realtime tells browsers of changes to these tables, where its publication exists and is ours to change.
do $$
declare
    relation text;
begin
    foreach relation in array '{messages,actions,orders,fulfillment_logs,links,organizations}'::text[] loop
        if exists (
                select
                from pg_publication as p
                where p.pubname = 'supabase_realtime'
                  and not p.puballtables
                  and pg_has_role(current_user, p.pubowner, 'usage')
            )
            and not exists (
                select
                from pg_publication_tables as t
                where t.pubname = 'supabase_realtime'
                  and t.schemaname = 'public'
                  and t.tablename = relation
            )
        then
            execute format('alter publication supabase_realtime add table public.%I', relation);
        end if;
    end loop;
end
$$;
