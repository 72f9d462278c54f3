-- What suppliers tell: how an order stands. It may come twice, late, in any order, and before the purchase has its answer.

-- Takes a report that has proven itself, once; what it did, in words. One that proves nothing (`unproven`) brings the next look-up
-- forward and settles nothing. `reference` is the order's, or what the supplier was told; one of the two must be there. `at` is when
-- it happened, by the supplier's word, and not when it was told: a repetition must be known as one.
create or replace function rowcall.supplier_report(
    profile text, reference text, provider_reference text, state text, code text, text text, at timestamptz
) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    news_id bigint;
begin
    if supplier_report.state = 'unproven' then
        return rowcall.look_sooner(rowcall.reported_log(profile, reference, provider_reference));
    end if;
    insert into rowcall.supplier_reports as r (profile, reference, provider_reference, state, code, text, at)
    values (
        supplier_report.profile, nullif(supplier_report.reference, ''), nullif(supplier_report.provider_reference, ''),
        supplier_report.state, left(supplier_report.code, 100), left(supplier_report.text, 1000), supplier_report.at
    )
    on conflict do nothing
    returning r.id
    into news_id;
    if news_id is null then
        -- Perhaps it is news all the same, of a second purchase that came to the same end; its supplier knows.
        if supplier_report.state in ('failed', 'reversed') then
            perform rowcall.look_sooner(rowcall.reported_log(profile, reference, provider_reference));
        end if;
        return 'known already';
    end if;
    begin
        return rowcall.apply_report(news_id);
    exception when others then
        -- What the users' own triggers refuse is kept too, and tried again with every sweep.
        raise warning 'a report of the supplier % could not be applied: %', profile, sqlerrm;
        return 'kept: it could not be applied';
    end;
end
$$;

-- The row that a report is about: found by the order's reference, by what the supplier was told, or by the supplier's number.
create or replace function rowcall.reported_log(
    profile text, reference text, provider_reference text
) returns rowcall.fulfillment_logs_key
language sql
stable
set search_path = pg_catalog
as $$
    select c.id
    from (
        select l.id, 1 as nth
        from public.fulfillment_logs as l
        where l.order_id = rowcall.order_key(reported_log.reference)
        union all
        select l.id, 1
        from public.fulfillment_logs as l
        where l.asked_as = reported_log.reference
        union all
        select l.id, 2
        from public.fulfillment_logs as l
        where l.reference = reported_log.reference
          and coalesce(l.supplier = reported_log.profile, true)
        union all
        select l.id, 3
        from public.fulfillment_logs as l
        where l.provider_reference = reported_log.provider_reference
          and coalesce(l.supplier = reported_log.profile, true)
    ) as c
    order by c.nth
    limit 1
$$;

-- Looks an accepted order up now, if it was not looked up just now: whoever may call unproven must not set our pace.
create or replace function rowcall.look_sooner(id rowcall.fulfillment_logs_key) returns text
language plpgsql
set search_path = pg_catalog
as $$
begin
    update public.fulfillment_logs as l
    set retry_after = now()
    where l.id = any (array(
        select o.id
        from public.fulfillment_logs as o
        where o.id = look_sooner.id
          and o.status = 'processing'
          and o.accepted_at is not null
          and o.claimed_by is null
          and o.retry_after > now()
          and o.updated_at < now() - interval '30 seconds'
        for no key update skip locked
    ));
    if not found then
        return 'ignored';
    end if;
    perform pg_notify('rowcall', 'fulfillment_logs');
    return 'looked up';
end
$$;

-- Applies what is told and not applied yet: of orders that were not known, or were held by somebody. A worker's sweep calls it.
-- Returns how many did something.
create or replace function rowcall.apply_reports() returns integer
language plpgsql
set search_path = pg_catalog
as $$
declare
    news record;
    applied integer := 0;
begin
    -- The newest, so that those whose order never comes hold up no other; among these, in the order in which they were told.
    for news in
        select n.id
        from (
            select r.id
            from rowcall.supplier_reports as r
            where r.applied_as is null
              and r.told_at > now() - interval '7 days'
            order by r.id desc
            limit 500
        ) as n
        order by n.id
    loop
        begin
            applied := applied + (rowcall.apply_report(news.id) not like 'kept%')::integer;
        exception when others then
            raise warning 'report % of a supplier could not be applied: %', news.id, sqlerrm;
        end;
    end loop;
    -- The index on told_at finds them.
    delete from rowcall.supplier_reports as r
    where r.told_at < now() - interval '90 days';
    return applied;
end
$$;

-- Applies one report to its row, and notes on it what that did. A row whose worker is at it keeps the report for the settle
-- statement, which decides by both: a running claim is never settled from here, and what it brings undoes nothing.
create or replace function rowcall.apply_report(id bigint) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    news rowcall.supplier_reports;
    log public.fulfillment_logs;
    found_id rowcall.fulfillment_logs_key;
    answer text;
begin
    select r.*
    into news
    from rowcall.supplier_reports as r
    where r.id = apply_report.id
      and r.applied_as is null
    for update skip locked;
    if news.id is null then
        return 'known already';
    end if;

    found_id := rowcall.reported_log(news.profile, news.reference, news.provider_reference);
    if found_id is null then
        return 'kept: its order is not known yet';
    end if;
    select l.*
    into log
    from public.fulfillment_logs as l
    join public.orders as o on o.id = l.order_id
    where l.id = found_id
    for no key update of l, o skip locked;
    if log.id is null then
        return 'kept: its order is held by somebody';
    end if;

    answer := rowcall.follow_report(news, log);
    if answer not like 'kept%' then
        -- What a worker that died was to settle by is dealt with; a row that keeps a report is not claimed.
        update public.fulfillment_logs as l
        set reported = null
        where l.id = log.id
          and l.reported is not null;
    end if;
    update rowcall.supplier_reports as r
    set log_id = log.id,
        applied_as = case when answer not like 'kept%' then answer end
    where r.id = news.id;
    return answer;
end
$$;

-- What follows from a report for its row, which is locked. Both the supplier's numbers of the order, where they are known, fit,
-- and it is about the purchase that stands now; that an earlier one was delivered after all counts as long as no other was begun.
create or replace function rowcall.follow_report(news rowcall.supplier_reports, log public.fulfillment_logs) returns text
language plpgsql
set search_path = pg_catalog
as $$
declare
    is_running constant boolean := coalesce(
        log.claimed_until > now()
        and log.claimed_by not in (
            select w.id
            from rowcall.workers as w
            where w.heartbeat_at <= now() - interval '15 seconds'
        ),
        false
    );
    is_ending constant boolean := news.state in ('failed', 'reversed');
    words constant text := format(
        'The supplier %s%s',
        case news.state when 'reversed' then 'took the order back' else 'could not deliver the bundle' end,
        ' (' || nullif(concat_ws(': ', news.code, news.text), '') || ')'
    );
begin
    if news.provider_reference <> log.provider_reference then
        return 'of another purchase of the order';
    elsif log.asked_as is not null
        and news.reference = log.order_id::text
        and coalesce(news.provider_reference <> log.provider_reference, true)
        and not (news.state = 'delivered' and log.claim_token is null and log.accepted_at is null)
    then
        return 'of an earlier purchase of the order';
    elsif exists (
        select
        from rowcall.supplier_reports as r
        where r.log_id = log.id
          and r.applied_as is not null
          and r.state <> 'pending'
          and coalesce(r.provider_reference = news.provider_reference, true)
          and r.at > news.at
    ) then
        return 'older than what is known';
    elsif is_running then
        update public.fulfillment_logs as l
        set reported = case
                when is_ending and l.reported ->> 'state' = 'delivered'
                    then jsonb_build_object('state', 'taken_back', 'provider_reference', news.provider_reference, 'words', words)
                when news.state = 'pending' and l.reported is not null then l.reported
                else jsonb_build_object(
                    'state', news.state, 'provider_reference', news.provider_reference,
                    'words', case when is_ending then words end
                )
            end
        where l.id = log.id;
        return 'kept: a worker is at it';
    elsif news.state = 'delivered' then
        if log.status = 'success' then
            return 'known already';
        elsif news.at is null and exists (
            select
            from rowcall.supplier_reports as r
            where r.log_id = log.id
              and r.applied_as is not null
              and r.state = 'reversed'
              and r.reference is not distinct from news.reference
              and coalesce(r.provider_reference = news.provider_reference, true)
        ) then
            -- Which of the two came last it does not say, and a bundle that was taken back is no success.
            return case rowcall.look_sooner(log.id) when 'looked up' then 'looked up' else 'told to be taken back before' end;
        end if;
        perform rowcall.settle_reported(news, log, 'done', null);
        return 'settled: success';
    elsif is_ending and log.status = 'success' then
        perform rowcall.settle_reported(
            news, log, 'failed', words || '. It had been delivered; nothing is bought again by itself.'
        );
        return 'settled: reversed';
    elsif is_ending then
        if log.status not in ('processing', 'unknown') and log.claim_token is null then
            return 'known already';
        elsif log.provider_reference is distinct from news.provider_reference
            and (log.attempt_number > 1 or log.generation > 1)
            and coalesce(news.at < log.accepted_at, true)
        then
            -- It may be about an earlier purchase under the same reference. The supplier is asked, where it can be.
            return case rowcall.look_sooner(log.id) when 'looked up' then 'looked up' else 'about which purchase is not known' end;
        elsif log.attempt_number < log.max_attempts then
            perform rowcall.settle_reported(news, log, 'retry', words || '; it is tried again by itself.');
            return 'settled: tried again';
        end if;
        perform rowcall.settle_reported(news, log, 'failed', words || format('; all %s attempts are spent.', log.max_attempts));
        return 'settled: failed';
    elsif log.status = 'unknown' or (log.claim_token is not null and log.accepted_at is null) then
        perform rowcall.settle_reported(news, log, 'wait', 'The supplier has the order; its delivery is awaited.');
        return 'settled: accepted';
    end if;
    return 'known already';
end
$$;

-- Writes what a report came to. The token changes, so a claim that a dead worker left brings nothing back.
create or replace function rowcall.settle_reported(
    news rowcall.supplier_reports, log public.fulfillment_logs, settled_as text, words text
) returns void
language plpgsql
set search_path = pg_catalog
as $$
begin
    update public.fulfillment_logs as l
    set status = case settled_as when 'done' then 'success' when 'wait' then 'processing' else 'failed' end,
        retry_after = case settled_as
            when 'retry' then now() + rowcall.fulfillment_pause(l.attempt_number)
            when 'wait' then now() + interval '5 seconds'
        end,
        fulfilled_at = case when settled_as = 'done' then coalesce(news.at, now()) end,
        error_message = words,
        api_response = case
            when settled_as = 'wait' then l.api_response
            else jsonb_build_object('reported', to_jsonb(news) - '{id,log_id,applied_as}'::text[])
                || case jsonb_typeof(l.api_response)
                    when 'object' then l.api_response - 'reported'
                    else jsonb_strip_nulls(jsonb_build_object('response', l.api_response))
                end
        end,
        purchase = l.purchase + (settled_as in ('retry', 'failed'))::integer,
        asked_as = case
            when settled_as in ('retry', 'failed') then rowcall.purchase_reference(l.order_id::text, l.purchase + 1)
            else l.asked_as
        end,
        doubted_at = null,
        provider_reference = case when settled_as = 'retry' then null else coalesce(news.provider_reference, l.provider_reference) end,
        supplier = coalesce(l.supplier, news.profile),
        accepted_at = case settled_as when 'retry' then null when 'wait' then coalesce(l.accepted_at, now()) else l.accepted_at end,
        looks = case when settled_as in ('retry', 'wait') then 0 else l.looks end,
        reported = null,
        held_back = false,
        -- Where the token stays as it is, the stamp trigger counts.
        generation = l.generation + (log.claim_token is null)::integer,
        claim_token = case when settled_as = 'wait' then gen_random_uuid() end,
        claimed_by = null,
        claimed_until = null,
        updated_at = now()
    where l.id = log.id;
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, response, requested_by)
    values (
        'fulfillment_logs', log.id::text, log.generation, greatest(log.attempt_number, 1), settled_as, words,
        jsonb_strip_nulls(jsonb_build_object(
            'by', 'supplier''s report', 'state', news.state, 'provider_reference', news.provider_reference, 'code', news.code
        )),
        log.requested_by
    );
    if settled_as <> 'wait' then
        perform rowcall.call_number(log.phone_number);
    end if;
    perform pg_notify('rowcall', 'fulfillment_logs');
end
$$;

-- Calls the next order for a number forward, that waited because a purchase for it was under way.
create or replace function rowcall.call_number(phone_number text) returns void
language sql
set search_path = pg_catalog
as $$
    update public.fulfillment_logs as l
    set retry_after = now(),
        held_back = false
    where l.id = any (array(
        select x.id
        from public.fulfillment_logs as x
        where right(regexp_replace(x.phone_number, '[^0-9]', '', 'g'), 9)
            = right(regexp_replace(call_number.phone_number, '[^0-9]', '', 'g'), 9)
          and (x.status in ('pending', 'processing') or (x.status = 'failed' and x.retry_after is not null))
          and x.held_back
        order by x.created_at, x.id
        limit 1
        for no key update skip locked
    ))
$$;
