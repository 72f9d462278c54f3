-- The organizations of the demo; nothing where there are some already. And the demo's patience: nobody waits minutes to see what
-- becomes of a failure.
with policy as (
    update rowcall.queues
    set retry_delays = '{1 second,1 second,2 seconds}'
    where queue = 'organizations'
      and retry_delays[1] = '5 seconds'
)

insert into public.organizations (name, metadata)
select s.name, jsonb_build_object('plan', s.plan)
from (values (1, 'Acme', 'gold'), (2, 'Birch', 'silver'), (3, 'Cedar', 'gold'), (4, 'Dune', 'trial')) as s (nth, name, plan)
where not exists (select from public.organizations)
order by s.nth
