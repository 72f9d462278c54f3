-- Removes runs that are older than their schedule keeps them, or than 30 days where it is gone; at most 10,000 a time.
delete from rowcall.schedule_runs as r
where r.id = any (array(
    select o.id
    from rowcall.schedules as s
    cross join lateral (
        select h.id
        from rowcall.schedule_runs as h
        where h.schedule_id = s.id
          and h.began_at < now() - s.runs_kept
          and h.status <> 'running'
        limit 10000
    ) as o
    union all
    select h.id
    from rowcall.schedule_runs as h
    where h.began_at < now() - interval '30 days'
      and h.status <> 'running'
      and not exists (select from rowcall.schedules as s where s.id = h.schedule_id)
    limit 10000
))
