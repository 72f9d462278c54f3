-- The triggers of public.orders and public.fulfillment_logs that have to do with fulfilment, in firing order.

-- An order asks for its bundle when it comes paid and of the network AT-iShare, or becomes so. One that comes with a
-- fulfillment_status of its own, such as `success` from an import, asks for nothing. While a change of its status is asked for
-- (triggers/orders.sql), it stands as before. The order says `pending` before it is
-- written, and its row of fulfillment_logs is made in the same transaction. Both run as their owner, for who orders writes no
-- fulfillment_logs; and neither ever fails the user's statement: what goes wrong is a warning, and rowcall doctor finds the order.
create or replace function rowcall.await_fulfillment() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if tg_relid <> 'public.orders'::regclass or not rowcall.is_paid(rowcall.order_standing(new.status, new.metadata)) then
        return new;
    elsif tg_op = 'UPDATE' then
        if new.status = 'updating'
            or (old.network is not distinct from 'AT-iShare'
                and rowcall.is_paid(rowcall.order_standing(old.status, old.metadata)))
        then
            return new;
        end if;
    end if;
    new.fulfillment_status := 'pending';
    return new;
exception when others then
    raise warning 'rowcall could not tell whether order % is to be fulfilled: %', new.id, sqlerrm;
    return new;
end
$$;

create or replace function rowcall.create_fulfillment() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if tg_relid <> 'public.orders'::regclass or not rowcall.is_paid(rowcall.order_standing(new.status, new.metadata)) then
        return null;
    elsif tg_op = 'UPDATE' then
        if new.status = 'updating'
            or (old.network is not distinct from 'AT-iShare'
                and rowcall.is_paid(rowcall.order_standing(old.status, old.metadata)))
        then
            return null;
        end if;
    end if;
    if new.fulfillment_status = 'failed' or not rowcall.put_fulfillment(new) then
        perform rowcall.put_fulfillment_back(new.id);
    end if;
    return null;
exception when others then
    raise warning 'rowcall could not make the fulfilment of order %: % (rowcall doctor tells what to do)', new.id, sqlerrm;
    return null;
end
$$;

-- They are the last of the BEFORE triggers, so that what another one makes of the order counts, whichever columns it changed.
drop trigger if exists _050_await_fulfillment_insert on public.orders;
drop trigger if exists _050_await_fulfillment_update on public.orders;

create or replace trigger zzz_rowcall_await_fulfillment_insert
before insert on public.orders
for each row
when (new.network = 'AT-iShare' and new.fulfillment_status is null)
execute function rowcall.await_fulfillment();

create or replace trigger zzz_rowcall_await_fulfillment_update
before update on public.orders
for each row
when (
    new.network = 'AT-iShare'
    and new.fulfillment_status is null
    and (new.network is distinct from old.network or new.status is distinct from old.status)
)
execute function rowcall.await_fulfillment();

create or replace trigger _500_create_fulfillment_insert
after insert on public.orders
for each row
when (new.network = 'AT-iShare' and new.fulfillment_status = 'pending')
execute function rowcall.create_fulfillment();

create or replace trigger _500_create_fulfillment_update
after update on public.orders
for each row
when (
    new.network = 'AT-iShare'
    and new.fulfillment_status in ('pending', 'failed')
    and (new.network is distinct from old.network or new.status is distinct from old.status)
)
execute function rowcall.create_fulfillment();

-- Marks a person's change of status as a new request, or as the end of one. What may have been bought before keeps, or gets, a
-- token that nobody holds: the next attempt verifies first. Statements that count the generation themselves are left alone.
create or replace function rowcall.stamp_fulfillment() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if tg_relid <> 'public.fulfillment_logs'::regclass then
        return new;
    end if;
    new.generation := coalesce(new.generation, 0) + 1;
    new.requested_at := now();
    new.requested_by := rowcall.asker();
    new.created_at := coalesce(new.created_at, now());
    new.held_back := false;
    if new.status in ('pending', 'processing') then
        new.attempt_number := 1;
        new.error_message := null;
        if tg_op = 'UPDATE' and old.status = 'failed' and new.claim_token is null then
            -- It certainly came to nothing, so this is another purchase.
            new.provider_reference := null;
            new.accepted_at := null;
            new.looks := 0;
        end if;
        if tg_op = 'INSERT' then
            new.retry_after := greatest(coalesce(new.retry_after, now()), now());
        else
            if new.retry_after is null or new.retry_after is not distinct from old.retry_after then
                new.retry_after := now();
            end if;
            if new.claim_token is null and (old.status in ('success', 'unknown') or new.provider_reference is not null) then
                new.claim_token := gen_random_uuid();
            end if;
        end if;
    elsif new.retry_after is not distinct from old.retry_after then
        new.retry_after := null;
    end if;
    new.updated_at := now();
    return new;
end
$$;

create or replace trigger _100_stamp_insert
before insert on public.fulfillment_logs
for each row
when (new.status in ('pending', 'processing') and new.claim_token is null)
execute function rowcall.stamp_fulfillment();

-- Leaving the unfinished statuses counts too: what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status on public.fulfillment_logs
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.generation = old.generation
    and new.status is distinct from old.status
    and (new.status in ('pending', 'processing') or old.status in ('pending', 'processing'))
)
execute function rowcall.stamp_fulfillment();

-- Shows every step on the order, in the same statement, whoever makes it. The worker's statements lock both rows beforehand, and
-- leave alone what somebody holds, so this waits for nobody there.
create or replace function rowcall.show_fulfillment() returns trigger
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if tg_relid = 'public.fulfillment_logs'::regclass then
        update public.orders as o
        set fulfillment_status = new.status,
            updated_at = now()
        where o.id = new.order_id
          and o.fulfillment_status is distinct from new.status;
    end if;
    return null;
end
$$;

create or replace trigger _500_show_insert
after insert on public.fulfillment_logs
for each row
execute function rowcall.show_fulfillment();

create or replace trigger _500_show_update
after update of status on public.fulfillment_logs
for each row
when (new.status is distinct from old.status)
execute function rowcall.show_fulfillment();

create or replace trigger _900_ring_insert
after insert on public.fulfillment_logs
for each row
when (new.status in ('pending', 'processing'))
execute function rowcall.ring('fulfillment_logs');

create or replace trigger _900_ring_update
after update of status on public.fulfillment_logs
for each row
when (new.status in ('pending', 'processing') and new.generation is distinct from old.generation)
execute function rowcall.ring('fulfillment_logs');
