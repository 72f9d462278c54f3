-- The bell: a constant short payload, the queue's name, so that Postgres folds all rings of a transaction into one.
--
-- It is a hint and never the delivery: what it misses, the sweep finds. `set rowcall.quiet = 'on'` silences it for a
-- session, for bulk loads and for two-phase commit, which refuses transactions that notified; ring once afterwards with
-- `select rowcall.sweep_now()`.
create or replace function rowcall.ring() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
    if current_setting('rowcall.quiet', true) is distinct from 'on' then
        perform pg_notify('rowcall', tg_argv[0]);
    end if;
    return null;
end
$$;

-- Policy and breakers: '*' tells every worker to read them again and to look at every queue.
create or replace trigger _900_ring_queues
after insert or update or delete on rowcall.queues
for each statement
execute function rowcall.ring('*');

create or replace trigger _900_ring_targets
after update of state, next_probe_at on rowcall.targets
for each row
when (old.state is distinct from new.state or old.next_probe_at is distinct from new.next_probe_at)
execute function rowcall.ring('*');
