-- Tells the statement of run $1 to end, wherever it runs.
select count(*) filter (where pg_cancel_backend(a.pid))
from pg_stat_activity as a
where a.application_name = 'rowcall run ' || $1
  and a.datname = current_database()
  and a.usename = current_user
