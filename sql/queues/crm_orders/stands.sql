-- Whether the row with key $1 still asks for what its generation $2 asked for, and the claim with token $3 holds it.
select exists (
    select
    from public.crm_orders as q
    where q.id = $1::text::rowcall.crm_orders_key
      and q.generation = $2::integer
      and q.claim_token = $3::uuid
) as stands
