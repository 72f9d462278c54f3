-- What browsers may ask of the tables that they may write to: one line a table. Every migrate puts back a row that somebody
-- deleted, and leaves alone what stands. A table that its users had before rowcall has no bounds until they set them.
insert into rowcall.browser_tables (table_name, asks, per_minute, bytes_max)
select
    t.name,
    case when a.table_name is null then t.asks end,
    case when a.table_name is null then t.per_minute end,
    case when a.table_name is null then 65536 end
from (values
    ('codes', '{creating,updating,deleting,renaming}'::text[], 300),
    ('actions', '{approved,denied,edited}', 300),
    ('fluent_sync_status', '{pending}', 10),
    ('links', '{creating,disabled}', 60),
    ('organizations', '{syncing}', 60),
    -- Another status of an order may move money, so pages ask for none until somebody opens it: set asks to {updating}.
    ('orders', '{}', 60),
    ('requests', null, null)
) as t (name, asks, per_minute)
left join rowcall.adopted as a on a.table_name = t.name
on conflict do nothing;
