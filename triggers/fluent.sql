-- The triggers of public.fluent_sync_status and public.requests, in firing order.

-- A request begins with nothing read; what the last one came to is in history.
create or replace function rowcall.begin_fluent_sync() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
    new.cursor := null;
    new.pages_read := 0;
    new.pages_total := null;
    new.tickets_fetched := 0;
    new.tickets_total := null;
    new.tickets_added := 0;
    new.tickets_updated := 0;
    new.tickets_skipped := 0;
    new.started_at := null;
    new.completed_at := null;
    new.sync_duration := null;
    new.since := null;
    new.watermark := null;
    new.covered_from := null;
    new.fingerprint := null;
    new.note := null;
    new.updated_at := now();
    return new;
end
$$;

-- A row that comes with an end of its own, such as `success` from an import, asks for nothing.
create or replace trigger _050_begin_insert
before insert on public.fluent_sync_status
for each row
when (new.status in ('pending', 'running') and new.claim_token is null)
execute function rowcall.begin_fluent_sync();

create or replace trigger _050_begin_update
before update of status, date_filter, is_full on public.fluent_sync_status
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and new.status in ('pending', 'running')
    and (
        new.status is distinct from old.status
        or new.date_filter is distinct from old.date_filter
        or new.is_full is distinct from old.is_full
    )
)
execute function rowcall.begin_fluent_sync();

create or replace trigger _100_stamp_insert
before insert on public.fluent_sync_status
for each row
when (new.status in ('pending', 'running') and new.claim_token is null)
execute function rowcall.stamp();

-- Leaving the due states counts too: it takes the request back, and what runs must not overwrite that.
create or replace trigger _100_stamp_update
before update of status, date_filter, is_full on public.fluent_sync_status
for each row
when (
    new.claim_token is not distinct from old.claim_token
    and (new.status in ('pending', 'running') or old.status in ('pending', 'running'))
    and (
        new.status is distinct from old.status
        or new.date_filter is distinct from old.date_filter
        or new.is_full is distinct from old.is_full
    )
)
execute function rowcall.stamp();

create or replace trigger _900_ring_insert
after insert on public.fluent_sync_status
for each row
when (new.status in ('pending', 'running'))
execute function rowcall.ring('fluent_sync_status');

create or replace trigger _900_ring_update
after update of status, date_filter, is_full on public.fluent_sync_status
for each row
when (
    new.status in ('pending', 'running')
    and new.generation is distinct from old.generation
)
execute function rowcall.ring('fluent_sync_status');

-- Remembers which columns of a ticket's request a person has edited: no sync writes them any more. A person may take a column
-- out, and means it where the same statement leaves its value alone; a form that saves a whole row, with edited_columns as
-- they were when it was opened, means its values.
create or replace function rowcall.note_request_edits() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
    -- Here and not in a function of its own: it runs with the rights of whoever edits, which end at this schema.
    new.edited_columns := array(
        select e.name
        from unnest(coalesce(new.edited_columns, old.edited_columns)) as e (name)
        union
        select c.name
        from (values
            ('category', new.category is distinct from old.category),
            ('date', new.date is distinct from old.date),
            ('description', new.description is distinct from old.description),
            ('time', new.time is distinct from old.time),
            ('urgency', new.urgency is distinct from old.urgency),
            ('website_url', new.website_url is distinct from old.website_url)
        ) as c (name, is_edited)
        where c.is_edited
        order by 1
    );
    return new;
end
$$;

-- A sync's own statement sets synced_at later than it was and is told apart by that. Requests that no sync has written are
-- nobody's business, whatever their source.
create or replace trigger _050_note_edits
before update of date, time, description, urgency, category, website_url, edited_columns on public.requests
for each row
when (
    (old.synced_at is not null or old.source = 'fluent')
    and (new.synced_at > coalesce(old.synced_at, '-infinity')) is not true
)
execute function rowcall.note_request_edits();
