-- What a frontend's server asks of fulfilment: to start one, to try it again, to see it, and to have all of it as a sheet.

-- The order with that key, locked; an error in words when there is none.
create or replace function rowcall.named_order(wanted_key text) returns public.orders
language plpgsql
set search_path = pg_catalog
as $$
declare
    found public.orders;
begin
    select o.*
    into found
    from public.orders as o
    where o.id = rowcall.order_key(wanted_key)
    for no key update;
    if found.id is null then
        raise exception 'there is no order %', coalesce(wanted_key, 'without a key') using errcode = 'P0002';
    end if;
    return found;
end
$$;

-- Buys an order's bundle, where the trigger did not: an order from before rowcall, or whose status counts as paid by now. One that
-- is being bought already is left to that. Refuses with RC409 what is over, and what is not to be bought.
create or replace function rowcall.trigger_fulfillment(order_id text) returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant public.orders := rowcall.named_order(order_id);
    status text;
    answer text;
begin
    if wanted.network is distinct from 'AT-iShare' then
        raise exception 'order % is of the network %, not AT-iShare', wanted.id, coalesce(wanted.network, 'none')
            using errcode = '22023';
    end if;
    select l.status into status from public.fulfillment_logs as l where l.order_id = wanted.id;
    if status in ('success', 'failed', 'unknown') then
        raise exception 'the fulfilment of order % is %', wanted.id, status
            using errcode = 'RC409', hint = case status when 'success' then 'a second bundle is a second order' else 'retry it' end;
    elsif status is null and not rowcall.is_paid(rowcall.order_standing(wanted.status, wanted.metadata)) then
        raise exception 'order % is %, which does not count as paid', wanted.id, coalesce(wanted.status, 'without status')
            using errcode = 'RC409', hint = 'which statuses count stands in rowcall.fulfillment_settings';
    elsif status is null and coalesce(wanted.fulfillment_status, 'pending') not in ('pending', 'failed') then
        raise exception 'order % shows the fulfillment_status % of another system', wanted.id, wanted.fulfillment_status
            using errcode = 'RC409', hint = 'where that is wrong, set it to null';
    end if;
    answer := format(
        'order %s is %s', wanted.id, case when rowcall.put_fulfillment(wanted) then 'asked for' else 'asked for already' end
    );
    return jsonb_build_object('answer', answer) || rowcall.fulfillment_status(wanted.id::text);
end
$$;

-- Tries an order's fulfilment again: at once where attempts are left. Where none is, or to buy again what nobody can tell about,
-- `force` and a note say that a person decided so; both are kept. Refuses with RC409 what is delivered, and what is spent.
create or replace function rowcall.retry_fulfillment(order_id text, force boolean default false, note text default null)
returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant public.orders := rowcall.named_order(order_id);
    is_forced constant boolean := coalesce(force, false);
    log_key text;
    answer text;
begin
    if is_forced and coalesce(btrim(note), '') = '' then
        raise exception 'say why it is forced' using errcode = '22023', detail = '["note"]', hint = 'the note is kept on the row';
    end if;
    select l.id::text into log_key from public.fulfillment_logs as l where l.order_id = wanted.id;
    if log_key is null then
        raise exception 'order % has no fulfilment', wanted.id using errcode = 'P0002', hint = 'trigger it';
    end if;
    answer := rowcall.ask_fulfillment_again(rowcall.named_fulfillment(log_key), is_forced, btrim(note));
    if answer not like '%is running; nothing to do' then
        answer := concat_ws('; but ', answer, rowcall.held_up('fulfillment_logs'));
    end if;
    return jsonb_build_object('answer', answer) || rowcall.fulfillment_status(wanted.id::text);
end
$$;

-- An order, its fulfilment, every attempt and every report, oldest first; null when there is no such order.
create or replace function rowcall.fulfillment_status(order_id text) returns jsonb
language sql
stable
set search_path = pg_catalog
as $$
    select jsonb_build_object(
        'order', jsonb_build_object(
            'id', o.id,
            'network', o.network,
            'phone_number', o.phone_number,
            'package', o.package,
            'amount', o.amount::text,
            'status', o.status,
            'fulfillment_status', o.fulfillment_status
        ),
        'fulfillment', (
            select to_jsonb(l) - '{claim_token,claimed_by,reported,held_back}'::text[]
                || jsonb_build_object('attempts_left', greatest(
                    l.max_attempts - l.attempt_number + (l.status in ('pending', 'processing'))::integer, 0
                ))
            from public.fulfillment_logs as l
            where l.order_id = o.id
        ),
        'attempts', coalesce(
            (
                select jsonb_agg(to_jsonb(h) - '{queue,key,worker}'::text[] order by h.id)
                from rowcall.history as h
                join public.fulfillment_logs as l on l.id::text = h.key
                where h.queue = 'fulfillment_logs'
                  and l.order_id = o.id
            ),
            '[]'
        ),
        'reports', coalesce(
            (
                select jsonb_agg(to_jsonb(r) - '{id,log_id}'::text[] order by r.id)
                from rowcall.supplier_reports as r
                join public.fulfillment_logs as l on l.id = r.log_id
                where l.order_id = o.id
            ),
            '[]'
        )
    )
    from public.orders as o
    where o.id = rowcall.order_key(fulfillment_status.order_id)
$$;
