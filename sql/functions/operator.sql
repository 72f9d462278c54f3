-- The operator's verbs. The command line, the HTTP API and the dashboard call these and nothing else.

-- Who acts: whom the HTTP server let in, else the subject of the JWT that PostgREST verified, else the database role.
create or replace function rowcall.requester() returns text
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return coalesce(
        nullif(current_setting('rowcall.asker', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
        current_user
    );
exception when others then
    return current_user;
end
$$;

-- Says which queues there are when one is asked for that does not exist.
create or replace function rowcall.known_queue(wanted text) returns text
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    if not exists (select from rowcall.queues as q where q.queue = wanted) then
        raise exception 'there is no queue %', coalesce(wanted, 'null')
            using errcode = 'no_data_found',
                hint = 'queues: ' || (select string_agg(q.queue, ', ' order by q.queue) from rowcall.queues as q);
    end if;
    return wanted;
end
$$;

-- What keeps a queue from being worked right now, in words; null when nothing does.
create or replace function rowcall.held_up(wanted text) returns text
language sql
stable
set search_path = pg_catalog
as $$
    select case
        when q.paused then format('%s is paused: %s', q.queue, q.paused_reason)
        when t.state = 'open' then format('%s is probed first: %s', t.target, t.reason)
        when not exists (
            select
            from rowcall.workers as w
            where q.queue = any (w.queues)
              and not w.draining
              and w.heartbeat_at > now() - interval '15 seconds'
        ) then format('no live worker serves %s: start one with rowcall run', q.queue)
    end
    from rowcall.queues as q
    join rowcall.targets as t on t.target = q.target
    where q.queue = wanted
$$;

-- Tries a row again: a stopped one anew, a waiting one now. Each queue has its own retry_<queue>(key).
create or replace function rowcall.retry(queue text, key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    answer text;
begin
    execute format('select rowcall.%I($1)', 'retry_' || rowcall.known_queue(queue)) into answer using key;
    if answer like '%is running; nothing to do' then
        return answer;
    end if;
    return concat_ws('; but ', answer, rowcall.held_up(queue));
end
$$;

-- Takes a request back that is not done. Each queue has its own cancel_<queue>(key).
create or replace function rowcall.cancel(queue text, key text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    answer text;
begin
    execute format('select rowcall.%I($1)', 'cancel_' || rowcall.known_queue(queue)) into answer using key;
    return answer;
end
$$;

-- Settles a row that is parked as unknown, by what a person found out: `done` or `failed`, and how they know. Each queue that
-- parks rows has its own resolve_<queue>(key, verdict, note).
create or replace function rowcall.resolve(queue text, key text, verdict text, note text) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    answer text;
begin
    perform rowcall.known_queue(queue);
    if verdict is null or verdict not in ('done', 'failed') then
        raise exception 'a row is resolved as done or failed, not as %', coalesce(verdict, 'null')
            using errcode = 'invalid_parameter_value',
                hint = 'the verdict is done: it took effect; or failed: it did not; to try it again use rowcall.retry';
    end if;
    if coalesce(btrim(note), '') = '' then
        raise exception 'say how you know'
            using errcode = 'invalid_parameter_value',
                hint = 'the note is kept on the row and in history';
    end if;
    execute format('select rowcall.%I($1, $2, $3)', 'resolve_' || queue) into answer using key, verdict, btrim(note);
    return answer;
end
$$;

-- Stops claiming from a queue; what runs, ends. The rows wait.
create or replace function rowcall.pause(queue text, reason text) returns text
language plpgsql
set search_path = pg_catalog
as $$
begin
    perform rowcall.known_queue(queue);
    if coalesce(trim(reason), '') = '' then
        raise exception 'say why % is paused', queue
            using errcode = 'invalid_parameter_value',
                hint = 'the reason is shown to everybody who waits';
    end if;
    update rowcall.queues as q
    set paused = true,
        paused_reason = pause.reason,
        paused_by = rowcall.requester(),
        paused_at = now()
    where q.queue = pause.queue;
    return format('%s is paused: %s', queue, reason);
end
$$;

-- Goes on with a paused queue, probes its target, and its target's parts, at once where the breaker is open, and calls endpoints of
-- webhooks again that had said that they are gone.
create or replace function rowcall.resume(queue text) returns text
language plpgsql
set search_path = pg_catalog
as $$
begin
    perform rowcall.known_queue(queue);
    update rowcall.queues as q
    set paused = false,
        paused_reason = null,
        paused_by = null,
        paused_at = null
    where q.queue = resume.queue;
    update rowcall.targets as t
    set next_probe_at = now()
    where t.state = 'open'
      and (select q.target from rowcall.queues as q where q.queue = resume.queue) in (t.target, t.part_of);
    delete from rowcall.gone_endpoints as e where e.queue = resume.queue;
    return format('%s goes on', queue);
end
$$;

-- Makes every worker look at every queue now.
create or replace function rowcall.sweep_now() returns void
language sql
set search_path = pg_catalog
as $$
    select pg_notify('rowcall', '*')
$$;
