-- The seconds until the next action comes due that is not due now; null when none will.
select extract(epoch from min(a.next_retry_at) - now())::double precision as due_in
from public.actions as a
where a.reply_status in ('pending', 'processing')
  and a.next_retry_at > now()
