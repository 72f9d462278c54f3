-- The bell of schedules: what was edited is read again, what was asked for is run, and every worker knows when to wake next.

create or replace trigger _900_ring_insert
after insert on rowcall.schedules
for each statement
execute function rowcall.ring('schedules');

create or replace trigger _900_ring_update
after update of cron, time_zone, paused, next_run_at, run_asked_at on rowcall.schedules
for each row
when (
    old.plan <> new.plan
    or (old.next_run_at is distinct from new.next_run_at and new.next_run_at is not null)
    or (old.run_asked_at is distinct from new.run_asked_at and new.run_asked_at is not null)
)
execute function rowcall.ring('schedules');
