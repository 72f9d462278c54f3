-- An order may be bought more than once: when what its supplier took has come to nothing. A supplier that takes each reference
-- once would only tell the old end again, so every purchase has a reference of its own, made of the order and its number.

alter table public.fulfillment_logs
    add column if not exists purchase integer not null default 1,
    add column if not exists asked_as text,
    add column if not exists doubted_at timestamptz;

comment on column public.fulfillment_logs.purchase is 'Which purchase it is; the next one follows only what certainly came to nothing.';
comment on column public.fulfillment_logs.asked_as is 'What a second or later purchase is known by. Null: the order''s own key.';
comment on column public.fulfillment_logs.doubted_at is 'Since when nobody can tell whether it was bought.';

-- A default that is not `pending` would keep the trigger from seeing that an order asks for its bundle.
do $$
begin
    if exists (
        select
        from pg_attrdef as d
        join pg_attribute as a on a.attrelid = d.adrelid and a.attnum = d.adnum
        where d.adrelid = 'public.orders'::regclass
          and a.attname = 'fulfillment_status'
          and pg_get_expr(d.adbin, d.adrelid) not like 'NULL%'
          and pg_get_expr(d.adbin, d.adrelid) not like '''pending''%'
    ) then
        raise exception 'public.orders.fulfillment_status has a default, so no order would ever ask for its bundle'
            using hint = 'alter table public.orders alter column fulfillment_status drop default';
    end if;
end
$$;

-- Since when nobody can tell of those that stand is not known; the careful answer is: since they are here.
update public.fulfillment_logs
set doubted_at = created_at
where claim_token is not null
  and accepted_at is null
  and status in ('pending', 'processing', 'unknown');
