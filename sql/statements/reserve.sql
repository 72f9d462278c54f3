-- Reserves $2 starts on target $1 at $3 a second with a burst of $4 (GCRA), in one atomic step over all workers.
-- Returns the seconds until the first of them; each next one is 1/$3 later. Negative means that long ago.
update rowcall.targets as t
set spent_until = greatest(t.spent_until, clock_timestamp()) + $2::integer / $3::double precision * interval '1 second'
where t.target = $1
returning extract(
    epoch from t.spent_until - clock_timestamp()
)::double precision - ($2::integer + $4::integer - 1) / $3::double precision as first_in
