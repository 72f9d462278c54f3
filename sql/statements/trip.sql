-- Opens the breaker of target $1 because of $2; $3 says that a probe met it. Many rows that fail at once trip it once.
-- The next probe comes after 10 s, doubled by each failed probe, up to 5 min.
update rowcall.targets as t
set state = 'open',
    reason = $2,
    since = case when t.state = 'open' then t.since else now() end,
    trips = t.trips + 1,
    next_probe_at = now() + least(interval '5 minutes', interval '10 seconds' * (2 ^ least(t.trips, 10)))
where t.target = $1
  and (t.state = 'closed' or $3)
returning extract(epoch from t.next_probe_at - now())::double precision as probe_in
