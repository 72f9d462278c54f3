-- Removes what was answered to named requests more than a day ago, at most 10,000 rows a time.
delete from rowcall.answers as a
where a.ctid = any (array(
    select o.ctid
    from rowcall.answers as o
    where o.answered_at < now() - interval '1 day'
    order by o.answered_at
    limit 10000
))
