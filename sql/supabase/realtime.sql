-- Supabase's realtime tells browsers of changes to these tables, where its publication exists and is ours to change. A table
-- whose rows nothing identifies is left out, since every update of it would fail; `doctor` tells of it.
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
                from pg_publication_tables as t
                where t.pubname = 'supabase_realtime'
                  and t.schemaname = 'public'
                  and t.tablename = relation
            )
            and rowcall.is_identified(relation)
        then
            execute format('alter publication supabase_realtime add table public.%I', relation);
        end if;
    end loop;
end
$$;
