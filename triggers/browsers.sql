-- The triggers that bound what browsers write, in firing order: one line a table, with the keys of its metadata that the worker
-- keeps there, and whether it is a queue. They fire for the roles anon and authenticated only, before and after the stamp.
do $$
declare
    guarded record;
begin
    for guarded in
        select * from (values
            ('codes', '{
                previous_status,action_failed,action_error,failed_at,created_in_fienta_at,updated_in_fienta_at,deleted_in_fienta_at,
                renamed_to,renamed_from,fienta_discount_id,fienta_edit_url,cancelled_at,cancelled_by,resolved_by,resolved_note,
                resolved_at
            }'::text[], true),
            ('actions', '{}', true),
            ('fluent_sync_status', '{}', true),
            ('links', '{
                previous_status,action_failed,action_error,failed_at,link_created_at,cancelled_at,cancelled_by,resolved_by,
                resolved_note,resolved_at
            }', true),
            ('organizations', '{
                previous_status,action_failed,action_error,failed_at,cancelled_at,cancelled_by,resolved_by,resolved_note,resolved_at
            }', true),
            ('orders', '{
                previous_status,action_failed,action_error,failed_at,updated_in_fienta_at,fienta_order_id,cancelled_at,cancelled_by,
                resolved_by,resolved_note,resolved_at,reached_status,failed_request,cancelled_request
            }', true),
            ('requests', '{}', false)
        ) as t (relation, kept_keys, is_queue)
    loop
        execute format(
            'create or replace trigger _010_guard_insert
            before insert on public.%1$I
            for each row
            when (current_user = any (''{anon,authenticated}''))
            execute function rowcall.guard_browser(%2$s);

            create or replace trigger _010_guard_update
            before update on public.%1$I
            for each row
            when (current_user = any (''{anon,authenticated}''))
            execute function rowcall.guard_browser(%2$s);',
            guarded.relation,
            (select string_agg(quote_literal(k.key), ', ') from unnest(guarded.kept_keys) as k (key))
        );
        continue when not guarded.is_queue;
        execute format(
            'create or replace trigger _200_limit_insert
            before insert on public.%1$I
            for each row
            when (current_user = any (''{anon,authenticated}'') and new.generation > 0)
            execute function rowcall.limit_browser();

            create or replace trigger _200_limit_update
            before update on public.%1$I
            for each row
            when (current_user = any (''{anon,authenticated}'') and new.generation is distinct from old.generation)
            execute function rowcall.limit_browser();',
            guarded.relation
        );
    end loop;
end
$$;

create or replace trigger _020_guard_order_insert
before insert on public.orders
for each row
when (current_user = any ('{anon,authenticated}') and new.status in ('updating', 'unknown'))
execute function rowcall.guard_order();

create or replace trigger _020_guard_order_update
before update on public.orders
for each row
when (
    current_user = any ('{anon,authenticated}')
    and (new.status in ('updating', 'unknown') or old.status in ('updating', 'unknown'))
)
execute function rowcall.guard_order();
