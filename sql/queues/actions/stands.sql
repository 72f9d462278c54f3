-- Whether the row with key $1 still asks for what its generation $2 asked for, and the claim with token $3 holds it.
select exists (
    select
    from public.actions as a
    where a.id = $1::text::rowcall.actions_key
      and a.generation = $2::integer
      and a.claim_token = $3::uuid
) as stands
