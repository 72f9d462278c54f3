-- Opens the breaker of target $1 because of $2; $3 says that a probe met it. Many rows that fail at once trip it once.
-- The next probe comes after 10 s, doubled by each failed probe, up to 5 min. A part of a target, such as one tenant, has
-- no row of its own before it is first in trouble.
insert into rowcall.targets as t (target, state, reason, trips, next_probe_at)
values ($1, 'open', $2, 1, now() + interval '10 seconds')
on conflict (target) do update
set state = 'open',
    reason = $2,
    since = case when t.state = 'open' then t.since else now() end,
    trips = t.trips + 1,
    next_probe_at = now() + least(interval '5 minutes', interval '10 seconds' * (2 ^ least(t.trips, 10)))
where t.state = 'closed'
   or $3
returning extract(epoch from t.next_probe_at - now())::double precision as probe_in
