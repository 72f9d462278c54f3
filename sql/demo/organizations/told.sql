-- Whether the organization $1 was told of since it was asked for last, and nothing is left of the request.
select o.status = 'active'
    and o.error_message is null
    and coalesce(o.synced_at >= o.requested_at, false)
from public.organizations as o
where o.name = $1::text
