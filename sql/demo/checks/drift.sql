-- Whether the last comparison is done, found $1 codes that differ, and says $2 of GHOST-5, or nothing.
select f.status = 'checked'
    and f.error_message is null
    and f.drift_count::text = $1::text
    and coalesce((select d ->> 'drift' from jsonb_array_elements(f.drift) as d where d ->> 'code' = 'GHOST-5'), '') = $2::text
from public.fienta_checks as f
