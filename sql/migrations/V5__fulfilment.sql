-- The queue of fulfilment: a paid order of the network AT-iShare buys its data bundle, once.

select rowcall.note_adopted('{orders,fulfillment_logs}', 'rowcall.fulfillment_logs_key');

create table if not exists public.orders (
    id uuid primary key default gen_random_uuid(),
    customer text,
    network text,
    phone_number text,
    package text,
    amount numeric,
    status text not null default 'pending',
    fulfillment_status text,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint orders_amount_is_no_debt check (amount >= 0),
    constraint orders_metadata_is_object check (jsonb_typeof(metadata) = 'object')
);

-- Orders of other kinds may have none of these; what they say is asked of an order only when its network is AT-iShare.
alter table public.orders
    add column if not exists network text,
    add column if not exists phone_number text,
    add column if not exists package text,
    add column if not exists amount numeric,
    add column if not exists status text not null default 'pending',
    add column if not exists fulfillment_status text,
    add column if not exists metadata jsonb not null default '{}',
    add column if not exists updated_at timestamptz not null default now();

do $$
declare
    words constant text[] := '{text,character varying}';
    moments constant text[] := '{timestamp with time zone,timestamp without time zone}';
    order_key text;
    needed record;
begin
    for needed in
        select * from (values
            ('id', array['smallint', 'integer', 'bigint', 'uuid', 'text'], 'add a primary key column id'),
            ('network', words, 'alter table public.orders alter column network type text'),
            ('phone_number', words, 'alter table public.orders alter column phone_number type text'),
            ('package', words, 'alter table public.orders alter column package type text'),
            ('amount', array['numeric', 'smallint', 'integer', 'bigint'],
                'money is no float: alter table public.orders alter column amount type numeric'),
            ('status', words, 'alter table public.orders alter column status type text'),
            ('fulfillment_status', words, 'alter table public.orders alter column fulfillment_status type text'),
            ('metadata', array['jsonb'], 'alter table public.orders alter column metadata type jsonb using metadata::jsonb'),
            ('updated_at', moments || 'date'::text, 'alter table public.orders alter column updated_at type timestamptz')
        ) as n (name, types, mend)
    loop
        perform rowcall.require_column('orders', needed.name, needed.types, needed.mend);
    end loop;
    perform rowcall.make_key('rowcall.orders_key', 'orders');

    select format_type(a.atttypid, a.atttypmod)
    into order_key
    from pg_attribute as a
    where a.attrelid = 'public.orders'::regclass
      and a.attname = 'id';
    execute format(
        'create table if not exists public.fulfillment_logs (
            id uuid primary key default gen_random_uuid(),
            order_id %s not null references public.orders (id) on delete cascade,
            network text,
            phone_number text,
            status text not null default ''pending'',
            attempt_number integer not null default 1,
            max_attempts integer not null default 3,
            api_response jsonb,
            error_message text,
            retry_after timestamptz default now(),
            fulfilled_at timestamptz,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint fulfillment_logs_status_is_known check (
                status in (''pending'', ''processing'', ''success'', ''failed'', ''unknown'')
            )
        )',
        order_key
    );

    -- A table that was there before must have what document 3 gave it.
    perform rowcall.require_carried(
        'fulfillment_logs', 'rowcall.fulfillment_logs_key', 3, '{"attempts": "attempt_number", "next_retry_at": ""}'
    );
    for needed in
        select * from (values
            ('id', array['smallint', 'integer', 'bigint', 'uuid', 'text'], 'add a primary key column id'),
            ('order_id', array[order_key], format(
                'alter table public.fulfillment_logs add column order_id %1$s references public.orders (id); or, where it has '
                    'another type: alter table public.fulfillment_logs alter column order_id type %1$s using order_id::%1$s',
                order_key
            )),
            ('network', words, 'alter table public.fulfillment_logs add column network text'),
            ('phone_number', words, 'alter table public.fulfillment_logs add column phone_number text'),
            ('status', words, 'alter table public.fulfillment_logs alter column status type text'),
            ('attempt_number', array['integer'], 'alter table public.fulfillment_logs add column attempt_number integer not null default 1'),
            ('max_attempts', array['integer'], 'alter table public.fulfillment_logs add column max_attempts integer not null default 3'),
            ('api_response', array['jsonb'],
                'alter table public.fulfillment_logs alter column api_response type jsonb using to_jsonb(api_response)'),
            ('error_message', words, 'alter table public.fulfillment_logs add column error_message text'),
            ('retry_after', array['timestamp with time zone'],
                'alter table public.fulfillment_logs alter column retry_after type timestamptz'),
            ('fulfilled_at', moments, 'alter table public.fulfillment_logs alter column fulfilled_at type timestamptz'),
            ('created_at', array['timestamp with time zone'],
                'alter table public.fulfillment_logs alter column created_at type timestamptz')
        ) as n (name, types, mend)
    loop
        perform rowcall.require_column('fulfillment_logs', needed.name, needed.types, needed.mend);
    end loop;
end
$$;

-- What such a table must be like: rowcall can write rows into it, there is one for each order, and a status of unknown may stand.
do $$
declare
    found record;
    unfilled text;
begin
    select string_agg(a.attname, ', ')
    into unfilled
    from pg_attribute as a
    where a.attrelid = 'public.fulfillment_logs'::regclass
      and a.attnum > 0
      and not a.attisdropped
      and a.attnotnull
      and not a.atthasdef
      and a.attidentity = ''
      and a.attname <> all ('{order_id,network,phone_number,status,attempt_number,max_attempts,created_at,updated_at}'::name[]);
    if unfilled is not null then
        raise exception 'rowcall cannot fill these columns of public.fulfillment_logs, which must not be null: %', unfilled
            using hint = 'give them a default, or drop their not null';
    end if;
    if exists (select from public.fulfillment_logs as l where l.order_id is null or l.created_at is null) then
        raise exception 'public.fulfillment_logs has rows without an order or without the time of their creation'
            using hint = 'update public.fulfillment_logs set created_at = now() where created_at is null; '
                'delete from public.fulfillment_logs where order_id is null';
    end if;
    select l.order_id::text as key, count(*) as number
    into found
    from public.fulfillment_logs as l
    group by l.order_id
    having count(*) > 1
    limit 1;
    if found.number > 1 then
        raise exception 'public.fulfillment_logs has % rows of the order %, rowcall keeps one for each order', found.number, found.key
            using hint = 'keep the row that tells how the order ended, and move the others to a table of your own';
    end if;
    select l.order_id::text as key
    into found
    from public.fulfillment_logs as l
    where not exists (select from public.orders as o where o.id = l.order_id)
    limit 1;
    if found.key is not null then
        raise exception 'public.fulfillment_logs has a row of the order %, which is not in public.orders', found.key
            using hint = 'delete from public.fulfillment_logs as l where not exists (select from public.orders as o where o.id = l.order_id)';
    end if;
    for found in
        select c.conrelid::regclass as relation, c.conname as name
        from pg_constraint as c
        join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
        where c.contype = 'c'
          and (c.conrelid, a.attname) in (
              ('public.fulfillment_logs'::regclass, 'status'), ('public.orders'::regclass, 'fulfillment_status')
          )
          and pg_get_constraintdef(c.oid) not like '%unknown%'
          and pg_get_constraintdef(c.oid) like '%success%'
    loop
        raise exception 'the constraint % of % does not know the status unknown', found.name, found.relation
            using hint = format('alter table %s drop constraint %I, or add unknown to its list', found.relation, found.name);
    end loop;
    alter table public.fulfillment_logs
        alter column order_id set not null,
        alter column created_at set not null,
        alter column retry_after drop not null;
    if not exists (
        select
        from pg_constraint as c
        where c.contype = 'f'
          and c.conrelid = 'public.fulfillment_logs'::regclass
          and c.confrelid = 'public.orders'::regclass
    ) then
        alter table public.fulfillment_logs
            add constraint fulfillment_logs_order_id_fkey foreign key (order_id) references public.orders (id) on delete cascade;
    end if;
end
$$;

alter table public.fulfillment_logs
    add column if not exists updated_at timestamptz not null default now(),
    add column if not exists package text,
    add column if not exists supplier text,
    add column if not exists reference text,
    add column if not exists provider_reference text,
    add column if not exists accepted_at timestamptz,
    add column if not exists looks integer not null default 0,
    add column if not exists reported jsonb,
    add column if not exists duplicate_of text,
    add column if not exists resolved_by text,
    add column if not exists resolved_note text,
    add column if not exists held_back boolean not null default false,
    add column if not exists generation integer not null default 0,
    add column if not exists claim_token uuid,
    add column if not exists claimed_by uuid,
    add column if not exists claimed_until timestamptz,
    add column if not exists requested_by text,
    add column if not exists requested_at timestamptz;

comment on column public.fulfillment_logs.attempt_number is
    'The attempt that is made, or else was made last; before the first one, 1.';
comment on column public.fulfillment_logs.max_attempts is 'Attempts, not retries. The policy in rowcall.queues comes first and is copied here.';
comment on column public.fulfillment_logs.retry_after is 'When it is looked at next. Null: not by itself.';
comment on column public.fulfillment_logs.package is 'What was bought, or is to be; the order''s, until something may have been bought.';
comment on column public.fulfillment_logs.reference is 'What the supplier was told to know the order by; the same over all attempts.';
comment on column public.fulfillment_logs.provider_reference is 'The supplier''s own number of the order.';
comment on column public.fulfillment_logs.accepted_at is 'Since when the supplier has taken the order; it is not delivered by that.';
comment on column public.fulfillment_logs.looks is 'How often it was looked up since.';
comment on column public.fulfillment_logs.reported is 'What the supplier told while a worker was at it; the outcome is settled by both.';
comment on column public.fulfillment_logs.duplicate_of is 'An order of the same number and volume that was bought shortly before.';
comment on column public.fulfillment_logs.claim_token is 'Null: nothing is under way, and certainly nothing was bought by what went before.';
comment on column public.fulfillment_logs.held_back is 'It was due and is put off until another purchase for the same number has ended.';

-- What another system left unfinished may have been bought. Nobody here knows, so nothing of it is bought by itself.
do $$
begin
    if to_regtype('rowcall.fulfillment_logs_key') is null then
        update public.fulfillment_logs as l
        set status = 'unknown',
            error_message = 'It was not finished when rowcall took over, so it may have been bought. Ask the supplier, then use '
                || 'rowcall.resolve; rowcall.retry verifies it first.',
            claim_token = gen_random_uuid(),
            retry_after = null
        where l.status in ('pending', 'processing');
        update public.fulfillment_logs as l
        set retry_after = null
        where l.retry_after is not null;
        update public.orders as o
        set fulfillment_status = 'unknown'
        from public.fulfillment_logs as l
        where l.order_id = o.id
          and l.status = 'unknown'
          and o.fulfillment_status is distinct from 'unknown';
    end if;
    perform rowcall.make_key('rowcall.fulfillment_logs_key', 'fulfillment_logs');
end
$$;

select rowcall.add_check('fulfillment_logs', 'fulfillment_logs_counts_are_sane',
    'attempt_number >= 0 and max_attempts > 0 and generation >= 0 and looks >= 0');
select rowcall.add_check('fulfillment_logs', 'fulfillment_logs_claim_is_whole',
    '(claimed_by is null) = (claimed_until is null) and (claimed_by is null or claim_token is not null)');
select rowcall.add_check('fulfillment_logs', 'fulfillment_logs_due_has_a_time',
    'status not in (''pending'', ''processing'') or retry_after is not null');

alter table public.fulfillment_logs set (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000
);

-- What makes an order one to be fulfilled. One row; edit it with SQL, the next order follows it.
create table if not exists rowcall.fulfillment_settings (
    is_only boolean primary key default true,
    paid_statuses text[],
    unpaid_statuses text[] not null default '{cancelled,canceled}',
    duplicate_window interval not null default '10 minutes',
    constraint fulfillment_settings_is_one_row check (is_only),
    constraint fulfillment_settings_window_is_no_debt check (duplicate_window >= interval '0')
);

comment on table rowcall.fulfillment_settings is 'Which orders of the network AT-iShare are bought. One row; edit it with SQL.';
comment on column rowcall.fulfillment_settings.paid_statuses is 'The statuses of orders that count as paid; null is every one but the unpaid ones.';
comment on column rowcall.fulfillment_settings.unpaid_statuses is 'The statuses that never count as paid.';
comment on column rowcall.fulfillment_settings.duplicate_window is
    'Two orders for the same number and volume that are no further apart are marked.';

-- Whose turn it is: one row a number, written by every purchase. `turn` makes the claim safe: who saw an older turn than
-- the one that stands has looked at an older world, and buys nothing.
create table if not exists rowcall.number_turns (
    number text primary key,
    turn bigint not null,
    token uuid not null,
    taken_at timestamptz not null default now()
) with (fillfactor = 50);

-- What suppliers told. One that comes again changes nothing; one whose order is not known yet, or is held by somebody,
-- waits here for the next sweep.
create table if not exists rowcall.supplier_reports (
    id bigint generated always as identity primary key,
    profile text not null,
    reference text,
    provider_reference text,
    state text not null,
    code text,
    text text,
    at timestamptz,
    told_at timestamptz not null default now(),
    log_id rowcall.fulfillment_logs_key,
    applied_as text,
    constraint supplier_reports_state_is_known check (state in ('delivered', 'failed', 'reversed', 'pending')),
    constraint supplier_reports_names_an_order check (reference is not null or provider_reference is not null)
);

comment on column rowcall.supplier_reports.at is 'When, by the supplier''s clock; null where it does not say.';
comment on column rowcall.supplier_reports.applied_as is 'What it did. Null: not yet anything.';
