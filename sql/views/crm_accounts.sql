-- Each client's account in its CRM: the target of its operations, whether its breaker is open, and from when on a row of it
-- may be taken again. A call takes `calls_every` of that time, at most calls_burst of them are saved up, and a row may
-- overdraw them: so in no minute are more calls made than calls_per_minute, calls_burst and one row's.
-- A client that names no account has a target of its own, so that its rows are taken, and fail with what it lacks.
create or replace view rowcall.crm_accounts as
select
    c.id as client_id,
    c.crm_type,
    p.target,
    t.target is not null as is_known,
    coalesce(t.state = 'open', false) as is_open,
    t.reason,
    t.next_probe_at,
    coalesce(t.turn, 0) as turn,
    t.served_at,
    t.spent_until,
    t.calls_burst,
    p.every as calls_every,
    coalesce(t.spent_until - (t.calls_burst - 1) * coalesce(p.every, interval '0'), '-infinity') as ready_at,
    t.came_through_at
from public.clients as c
cross join lateral (
    select coalesce(rowcall.crm_target(c.crm_type, c.tenant, c.shop), format('client:%s', c.id)) as target
) as n
left join rowcall.targets as t on t.target = n.target
cross join lateral (select n.target, interval '1 minute' / t.calls_per_minute as every) as p;
