-- Whether the row with key $1 still asks for what its generation $2 asked for, and the claim with token $3 holds it: its order is
-- still to be bought, and still for the number and the package of the claim. What may have been bought goes by the row (its
-- token has a mark, see claim.sql), whatever its order says by now.
select exists (
    select
    from public.fulfillment_logs as l
    join public.orders as o on o.id = l.order_id
    where l.id = $1::text::rowcall.fulfillment_logs_key
      and l.generation = $2::integer
      and l.claim_token = $3::uuid
      and (
          l.accepted_at is not null
          or (
              o.network is not distinct from 'AT-iShare'
              and rowcall.is_paid(rowcall.order_standing(o.status, o.metadata))
              and (
                  substr($3::uuid::text, 15, 1) = 'e'
                  or (o.phone_number, o.package) is not distinct from (l.phone_number, l.package)
              )
          )
      )
) as stands
