-- Whether the row with key $1 still asks for what its generation $2 asked for, and the claim with token $3 holds it.
select exists (
    select
    from public.orders as o
    where o.id = $1::text::rowcall.orders_key
      and o.generation = $2::integer
      and o.claim_token = $3::uuid
) as stands
