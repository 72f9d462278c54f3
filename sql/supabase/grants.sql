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

-- The second is what a browser may do with a table that rowcall made, the third what nobody but the worker writes.
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
    -- What an order's status says is bought, and changed at Fienta: a browser asks by a function of yours, or over HTTP.
    perform rowcall.grant_table('orders', 'select', carried || '{fulfillment_status}'::name[]);
    perform rowcall.grant_table(
        'fulfillment_logs', 'select',
        carried || '{
            order_id,network,phone_number,attempt_number,retry_after,status,api_response,fulfilled_at,package,supplier,reference,
            provider_reference,accepted_at,looks,reported,duplicate_of,resolved_by,resolved_note,held_back
        }'::name[]
    );
    perform rowcall.grant_table(
        'fienta_checks', 'select', carried || '{name,status,checked_at,listed,compared,usage,drift,drift_count}'::name[]
    );
    perform rowcall.grant_table(
        'links',
        'select, insert (target_url, status, metadata, expires_at), update (target_url, status, metadata, expires_at, updated_at)',
        carried || '{slug,short_url,clicks,last_clicked_at}'::name[]
    );
    perform rowcall.grant_table(
        'organizations', 'select, insert (name, status, metadata), update (name, status, metadata, updated_at)',
        carried || '{sync_url,synced_at}'::name[]
    );
end
$$;
