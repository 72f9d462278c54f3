-- The demo's patience with the site: nobody waits minutes to see what becomes of a failure.
update rowcall.queues
set retry_delays = '{1 second,2 seconds,4 seconds}'
where queue = 'fluent_sync_status'
  and retry_delays[1] = '1 minute'
