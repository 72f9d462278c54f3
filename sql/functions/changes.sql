-- A change that is asked for over HTTP: who asks, and by what its caller knows the request. Everything of it is one transaction.

-- Begins a change of this caller, who is null where nobody needs to say who they are: who asked and how stand on what the transaction writes. With a key, what was answered to the same
-- request before; null when it is to be done now. Refuses another body under the same key (RC422), and a request whose first one
-- is not answered yet (RC409).
create or replace function rowcall.begin_change(caller text, path text, idempotency_key text, body_digest bytea) returns jsonb
language plpgsql
set search_path = pg_catalog
as $$
declare
    kept rowcall.answers;
begin
    perform set_config('rowcall.asker', coalesce(begin_change.caller, ''), true), set_config('rowcall.request_method', 'api', true);
    if begin_change.idempotency_key is null then
        return null;
    end if;
    if not pg_try_advisory_xact_lock(hashtextextended(
        jsonb_build_array(begin_change.caller, begin_change.path, begin_change.idempotency_key)::text, 0
    )) then
        raise exception 'a request with this Idempotency-Key is being answered'
            using errcode = 'RC409', hint = 'send the same again in a moment; it gets the same answer';
    end if;
    select a.*
    into kept
    from rowcall.answers as a
    where a.caller = coalesce(begin_change.caller, '')
      and a.path = begin_change.path
      and a.idempotency_key = begin_change.idempotency_key;
    if kept.body_digest <> begin_change.body_digest then
        raise exception 'this Idempotency-Key came with another body before'
            using errcode = 'RC422', hint = 'a new request needs a new key';
    end if;
    return kept.answer;
end
$$;

-- Keeps the answer to a change, in the transaction that makes it: either both stand, or neither.
create or replace function rowcall.end_change(caller text, path text, idempotency_key text, body_digest bytea, answer jsonb)
returns void
language sql
set search_path = pg_catalog
as $$
    insert into rowcall.answers (caller, path, idempotency_key, body_digest, answer)
    values (coalesce(caller, ''), path, idempotency_key, body_digest, answer)
$$;
