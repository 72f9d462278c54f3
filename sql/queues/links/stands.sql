-- Whether the row with key $1 still asks for what its generation $2 asked for, and the claim with token $3 holds it.
select exists (
    select
    from public.links as l
    where l.id = $1::text::rowcall.links_key
      and l.generation = $2::integer
      and l.claim_token = $3::uuid
) as stands
