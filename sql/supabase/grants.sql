-- Who may do what. Nothing is left to default privileges, so a cluster with other defaults gives the same result.

revoke all on schema rowcall from public;
revoke all on all tables in schema rowcall from public;
revoke all on all functions in schema rowcall from public;

-- Only where Supabase's roles exist.
do $$
begin
    if to_regrole('anon') is not null then
        revoke all on all tables in schema rowcall from anon;
        revoke all on schema rowcall from anon;
    end if;
    if to_regrole('authenticated') is not null then
        revoke all on all tables in schema rowcall from authenticated;
        revoke all on schema rowcall from authenticated;
    end if;
end
$$;

-- The second is what a browser may do with a table that rowcall made, the third what nobody but the worker writes, the fourth what no
-- browser reads.
do $$
declare
    carried constant name[] := '{
        attempts,max_attempts,next_retry_at,error_message,generation,claim_token,claimed_by,claimed_until,requested_by,requested_at
    }';
begin
    perform rowcall.grant_table(
        'codes', 'select, insert (code, status, metadata), update (status, metadata, updated_at)', carried
    );
    perform rowcall.grant_table(
        'actions', 'select, update (status, user_response)',
        carried || '{reply_status,claimed_generation,held_back,resolved_by,resolved_note}'::name[]
    );
    perform rowcall.grant_table('contacts', 'select', '{last_inbound_at}');
    perform rowcall.grant_table('messages', 'select', '{whatsapp_message_id}');
    perform rowcall.grant_table('action_responses', 'select', '{provider,made_by,generation,reference,error_code,status_at}');
    perform rowcall.grant_table('response_templates', '');
    perform rowcall.grant_table(
        'orders', 'select, update (status, metadata, updated_at)', carried || '{fulfillment_status}'::name[]
    );
    perform rowcall.grant_table(
        'fulfillment_logs', 'select',
        carried || '{
            order_id,network,phone_number,attempt_number,retry_after,status,api_response,fulfilled_at,package,supplier,reference,
            provider_reference,accepted_at,looks,reported,duplicate_of,resolved_by,resolved_note,held_back,purchase,asked_as,
            doubted_at
        }'::name[]
    );
    perform rowcall.grant_table('clients', 'select');
    perform rowcall.grant_table('customers', 'select', '{is_member,member_since}');
    perform rowcall.grant_table('club_stages', 'select');
    perform rowcall.grant_table('enrollments', 'select', '{ended_at,crm_membership_id}');
    perform rowcall.grant_table(
        'crm_sync_queue', 'select', carried || '{priority,steps,crm_membership_id,last_attempt_at,completed_at}'::name[]
    );
    perform rowcall.grant_table('crm_orders', 'select', carried);
    perform rowcall.grant_table(
        'fluent_sync_status', 'select, insert (date_filter, is_full)',
        carried || '{
            cursor,since,watermark,covered_from,fingerprint,note,pages_read,pages_total,tickets_fetched,tickets_total,tickets_added,
            tickets_updated,tickets_skipped,sync_duration,started_at,completed_at
        }'::name[]
    );
    perform rowcall.grant_table(
        'requests',
        'select, update (date, time, description, urgency, category, website_url, hours, edited_columns, updated_at)',
        '{synced_at}'
    );
    perform rowcall.grant_table('fluent_tickets', 'select', '{request_id}');
    perform rowcall.grant_table('fluent_urgencies', 'select');
    perform rowcall.grant_table('fluent_categories', 'select');
    -- It tells of every code, whoever's that is: for your own backend, or over HTTP.
    perform rowcall.grant_table(
        'fienta_checks', '', carried || '{name,status,checked_at,listed,compared,usage,drift,drift_count}'::name[]
    );
    perform rowcall.grant_table(
        'links',
        'select, insert (target_url, status, metadata, expires_at), update (target_url, status, metadata, expires_at, updated_at)',
        carried || '{slug,short_url,clicks,last_clicked_at}'::name[]
    );
    perform rowcall.grant_table(
        'organizations', 'select, insert (name, status, metadata), update (name, status, metadata, updated_at)',
        carried || '{sync_url,synced_at}'::name[],
        -- Who is told, and there may be a secret in it.
        '{sync_url}'
    );
end
$$;

-- Whatever its users granted once: what was bought is for no browser to write, to re-date or to forget.
do $$
declare
    browser text;
begin
    foreach browser in array '{anon,authenticated}'::text[] loop
        if to_regrole(browser) is not null then
            execute format('revoke insert, update, delete on public.fulfillment_logs from %I', browser);
        end if;
    end loop;
end
$$;

-- Those that run as their owner are for the users' own backend; what a page calls runs as its caller.
do $$
declare
    signature text;
begin
    foreach signature in array '{
        public.process_expired_enrollments(),public.test_process_expired_enrollments(),public.process_crm_sync_queue()
    }'::text[] loop
        perform rowcall.grant_function(signature, 'service_role');
    end loop;
    foreach signature in array array[
        'public.request_code_create(text, jsonb)',
        'public.request_code_update(text, jsonb)',
        'public.request_code_delete(text)',
        'public.request_code_rename(text, text)',
        'public.cancel_code_request(text)',
        'public.approve_action(bigint, text)',
        'public.deny_action(bigint, text)',
        'public.edit_action(bigint, text)',
        'public.request_order_update(text, text, jsonb)',
        'public.cancel_order_request(text)',
        'public.request_link_create(text, text)',
        'public.request_link_update(text, text, text)',
        'public.disable_link(text)',
        'public.enable_link(text)',
        'public.cancel_link_request(text)',
        'public.request_organization_sync(text)',
        'public.cancel_organization_request(text)',
        -- What these call. No other role gets there: the schema is closed.
        'rowcall.code_terms(text, jsonb)',
        'rowcall.code_complaints(text, text, jsonb, jsonb)',
        'rowcall.code_faults(text, jsonb)',
        'rowcall.term_faults(jsonb, text)',
        'rowcall.is_moment(text)',
        'rowcall.ask_code(text, text, jsonb, jsonb)',
        'rowcall.take_back_code(text)',
        'rowcall.answer_action(bigint, text, text)',
        'rowcall.unless_faulty(jsonb, jsonb)',
        'rowcall.order_faults(jsonb)',
        'rowcall.page_order_faults(jsonb)',
        'rowcall.ask_order(text, jsonb)',
        'rowcall.link_faults(jsonb)',
        'rowcall.link_answer(public.links)',
        'rowcall.ask_new_link(jsonb)',
        'rowcall.ask_link(text, jsonb, text)',
        'rowcall.ask_organization(text)',
        'rowcall.take_back(text, text, text)'
    ] loop
        perform rowcall.grant_function(signature, 'authenticated');
    end loop;
end
$$;
