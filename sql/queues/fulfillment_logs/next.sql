-- The seconds until the next purchase or look-up comes due that is not due now; null when none will.
select extract(epoch from min(l.retry_after) - now())::double precision as due_in
from public.fulfillment_logs as l
where (l.status in ('pending', 'processing') or (l.status = 'failed' and l.retry_after is not null))
  and l.retry_after > now()
