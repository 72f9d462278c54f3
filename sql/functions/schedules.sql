-- An operator's verbs for schedules. The command line, the HTTP API and the dashboard call these and nothing else. Who may
-- write rowcall.schedules may do anything that the worker's role may, so nobody but its owner does unless the owner grants it.

-- Says which schedules there are when one is asked for that does not exist.
create or replace function rowcall.known_schedule(wanted text) returns bigint
language plpgsql
stable
set search_path = pg_catalog
as $$
declare
    known constant bigint := (select s.id from rowcall.schedules as s where s.name = wanted);
begin
    if known is null then
        raise exception 'there is no schedule %', coalesce(wanted, 'null')
            using errcode = 'no_data_found',
                hint = coalesce(
                    'schedules: ' || (select string_agg(s.name, ', ' order by s.name) from rowcall.schedules as s),
                    'make one: insert into rowcall.schedules (name, cron, statement) values (…)'
                );
    end if;
    return known;
end
$$;

-- Runs a schedule now, at whatever time it comes next, and also while it is paused. A worker takes it within a moment.
create or replace function rowcall.run_schedule(name text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant bigint := rowcall.known_schedule(name);
    busy_since constant timestamptz := (
        select r.began_at from rowcall.schedule_runs as r where r.schedule_id = wanted and r.status = 'running'
    );
begin
    if busy_since is not null then
        raise exception '% is running since %; it is not begun a second time',
            name, to_char(busy_since at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"')
            using errcode = 'RC409',
                hint = 'ask again when it has ended';
    end if;
    update rowcall.schedules as s
    set run_asked_at = now(),
        run_asked_by = rowcall.requester()
    where s.id = wanted;
    if not exists (
        select
        from rowcall.workers as w
        where not w.draining
          and w.heartbeat_at > now() - interval '15 seconds'
    ) then
        return format('%s is asked to run; but no worker is alive: start one with rowcall run', name);
    end if;
    return format('%s runs now', name);
end
$$;

-- Lets a schedule rest: its times pass by and are not made up for. A run that goes on ends.
create or replace function rowcall.pause_schedule(name text, reason text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant bigint := rowcall.known_schedule(name);
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'say why % is paused', name
            using errcode = 'invalid_parameter_value',
                hint = 'the reason is shown to everybody who wonders why it does not run';
    end if;
    update rowcall.schedules as s
    set paused = true,
        paused_reason = btrim(reason),
        paused_by = rowcall.requester(),
        paused_at = now()
    where s.id = wanted;
    return format('%s is paused: %s', name, btrim(reason));
end
$$;

-- Goes on with a paused schedule, with the next of its times.
create or replace function rowcall.resume_schedule(name text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    wanted constant bigint := rowcall.known_schedule(name);
begin
    update rowcall.schedules as s
    set paused = false,
        paused_reason = null,
        paused_by = null,
        paused_at = null
    where s.id = wanted;
    return format('%s goes on', name);
end
$$;
