-- What a customer is told, and what the bubble of an action shows. In plpgsql, whose plans a session keeps: every claim calls
-- these for every row.

-- Puts values into a template. Each is inserted literally and once: a value that contains {{…}} is text like any other.
-- What has no value is left out; what is longer than a WhatsApp message may be is cut, with an ellipsis.
create or replace function rowcall.render_template(template text, given jsonb) returns text
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return (
        with part as (
            select p.text, p.nth
            from regexp_split_to_table(template, '\{\{[^{}]*\}\}') with ordinality as p (text, nth)
        ),

        placeholder as (
            select btrim(m.found[1]) as name, m.nth
            from regexp_matches(template, '\{\{([^{}]*)\}\}', 'g') with ordinality as m (found, nth)
        ),

        rendered as (
            select btrim(
                string_agg(part.text || coalesce(given #>> string_to_array(placeholder.name, '.'), ''), '' order by part.nth),
                E' \n\r\t'
            ) as text
            from part
            left join placeholder on placeholder.nth = part.nth
        )

        select case when char_length(r.text) > 4096 then left(r.text, 4095) || '…' else r.text end
        from rendered as r
    );
end
$$;

-- A telephone number as +, country code and number; null where it is not certainly one. A number without + must be long
-- enough to have its country code: anything else might be somebody else's.
create or replace function rowcall.international(phone text) returns text
language plpgsql
immutable
set search_path = pg_catalog
as $$
declare
    bare constant text := regexp_replace(btrim(phone), '[ ./()\u00a0\u2011-]', '', 'g');
begin
    return '+' || case
        when bare ~ '^(\+|00)[1-9][0-9]{6,14}$' then regexp_replace(bare, '^(\+|00)', '')
        when bare ~ '^[1-9][0-9]{10,14}$' then bare
    end;
end
$$;

-- The reply to an action: language, contact, text, the approved template, or what is missing. The contact's language is
-- looked for first, then its base (en of en_GB), then English; in each the action's own type before the generic one.
create or replace function rowcall.compose_reply(
    action_id bigint, action_type text, outcome text, user_response text, details jsonb, contact_id rowcall.contacts_key
) returns jsonb
language plpgsql
stable
set search_path = pg_catalog
as $$
begin
    return (
        with contact as (
            select
                rowcall.international(c.phone) as phone,
                c.name,
                -- WhatsApp said that the 24 hours since the customer's last message are over: it knows better than we do.
                case
                    when exists (
                        select
                        from public.action_responses as r
                        where r.action_id = compose_reply.action_id
                          and r.error_code = '131047'
                          and r.status_at > coalesce(c.last_inbound_at, '-infinity')
                    ) then 'epoch'
                    else c.last_inbound_at
                end as last_inbound_at,
                array[c.language, split_part(replace(c.language, '-', '_'), '_', 1), 'en'] as languages
            from public.contacts as c
            where c.id = compose_reply.contact_id
        ),

        template as (
            select t.*
            from public.response_templates as t
            left join contact as c on true
            where t.outcome = compose_reply.outcome
              and t.action_type in (compose_reply.action_type, '*')
              and t.language = any (coalesce(c.languages, '{en}'))
              and t.is_active
            order by array_position(c.languages, t.language), t.action_type = '*'
            limit 1
        ),

        given as (
            select jsonb_build_object(
                'action_id', compose_reply.action_id,
                'action_type', replace(compose_reply.action_type, '_', ' '),
                'outcome', compose_reply.outcome,
                'user_response', compose_reply.user_response,
                'details', compose_reply.details,
                'contact_name', (select c.name from contact as c)
            ) as given
        ),

        reply as (
            select
                case when t.body is not null then rowcall.render_template(t.body, g.given) end as text,
                t.language,
                case
                    when t.approved_name is not null then jsonb_build_object(
                        'name', t.approved_name,
                        'language', t.approved_language,
                        'parameters', coalesce(
                            (
                                select jsonb_agg(rowcall.render_template(p.template, g.given) order by p.nth)
                                from unnest(t.approved_parameters) with ordinality as p (template, nth)
                            ),
                            '[]'
                        )
                    )
                end as approved
            from given as g
            left join template as t on true
        )

        select jsonb_build_object(
            'language', coalesce(r.language, 'en'),
            'contact', jsonb_build_object('phone', c.phone, 'name', c.name, 'last_inbound_at', c.last_inbound_at),
            'text', nullif(r.text, ''),
            'approved_template', r.approved,
            'missing', case
                when compose_reply.contact_id is null then 'the action has no contact: set its contact_id'
                when c.languages is null then 'the action''s contact is gone'
                when c.phone is null
                    then 'the contact has no telephone number with a country code, such as +16505551234: set phone on public.contacts'
                when r.text is null
                    then format(
                        'there is no reply template for %s, and no generic one: add one to public.response_templates',
                        compose_reply.outcome
                    )
                when r.text = '' then 'the reply would be empty: set user_response on the action'
            end
        )
        from reply as r
        left join contact as c on true
    );
end
$$;

-- The word that a bubble shows.
create or replace function rowcall.action_state(status text, reply_status text, is_running boolean) returns text
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return (
        select case
            when reply_status = 'sent' then 'Sent'
            when reply_status = 'failed' then 'Failed'
            when reply_status = 'unknown' then 'Needs a look'
            when is_running or reply_status = 'processing' then 'Processing'
            when status = 'approved' then 'Approved'
            when status = 'denied' then 'Denied'
            when status = 'edited' then 'Edited'
            else 'Pending'
        end
    );
end
$$;

-- What a bubble carries in its metadata. `detail` is why there is no reply yet, or why there will be none.
create or replace function rowcall.bubble(
    key text, status text, reply_status text, generation integer, is_running boolean, detail text
) returns jsonb
language plpgsql
immutable
set search_path = pg_catalog
as $$
begin
    return (
        select jsonb_build_object(
            'action_id', key::bigint,
            'action_status', status,
            'reply_status', case when is_running and reply_status = 'pending' then 'processing' else reply_status end,
            'state', rowcall.action_state(status, reply_status, is_running),
            'generation', generation,
            'detail', case when not is_running then detail end
        )
    );
end
$$;
