-- Whether the row with key $1 still asks for what its generation $2 asked for, and the claim with token $3 holds it.
select exists (
    select
    from public.fluent_sync_status as c
    where c.id = $1::text::rowcall.fluent_sync_status_key
      and c.generation = $2::integer
      and c.claim_token = $3::uuid
) as stands
