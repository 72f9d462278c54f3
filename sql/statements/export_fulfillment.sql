-- A page of fulfilments for a sheet, oldest first: at most $8 rows after the one that was created at $6 with the key $7, of status
-- $1, of the number $2 (its last nine digits count), created from $3, before $4, and before the export began, at $5.
select
    l.created_at as page_at,
    l.id::text as page_key,
    array[
        l.order_id::text,
        l.network,
        l.phone_number,
        l.package,
        o.amount::text,
        l.status,
        l.attempt_number::text,
        l.max_attempts::text,
        l.error_message,
        to_char(l.retry_after at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        to_char(l.fulfilled_at::timestamptz at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        l.supplier,
        l.provider_reference,
        l.duplicate_of,
        to_char(l.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        to_char(l.updated_at::timestamptz at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    ]::text[] as cells
from public.fulfillment_logs as l
join public.orders as o on o.id = l.order_id
where ($1::text is null or l.status = $1)
  and ($2::text is null or right(regexp_replace(l.phone_number, '[^0-9]', '', 'g'), 9) = $2)
  and ($3::timestamptz is null or l.created_at >= $3)
  and ($4::timestamptz is null or l.created_at < $4)
  and l.created_at <= $5::timestamptz
  and (l.created_at, l.id) > ($6::timestamptz, $7::text::rowcall.fulfillment_logs_key)
order by l.created_at, l.id
limit $8::bigint
