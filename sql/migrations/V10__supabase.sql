-- What browsers may do with a table: policy, one row a table, editable with SQL like rowcall.queues.

create table if not exists rowcall.browser_tables (
    table_name text primary key,
    asks text[],
    per_minute integer,
    bytes_max integer,
    owner_column name,
    policies text,
    published_at timestamptz,
    constraint browser_tables_bounds_are_positive check (
        (per_minute is null or per_minute > 0) and (bytes_max is null or bytes_max > 0)
    )
);

comment on table rowcall.browser_tables is
    'What browsers (the roles anon and authenticated) may do with each table. Edit with SQL; it counts at once.';
comment on column rowcall.browser_tables.asks is 'The statuses that a browser may set; null: any. The others are the worker''s.';
comment on column rowcall.browser_tables.per_minute is 'How many rows a user may ask for in a minute; null is no bound.';
comment on column rowcall.browser_tables.bytes_max is 'How long one value that a browser writes may be, as text; null is no bound.';
comment on column rowcall.browser_tables.owner_column is
    'Whose row it is; a row that a browser makes is its user''s. Null: rows have no owner of their own.';
comment on column rowcall.browser_tables.policies is
    'The row policies as rowcall left them. Ones that somebody changed or dropped since then are left alone.';
comment on column rowcall.browser_tables.published_at is
    'When rowcall added the table to supabase_realtime; once taken out by hand, it is not put back.';
