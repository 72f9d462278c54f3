-- The demo's patience: nobody waits minutes to see what becomes of a failure.
update rowcall.queues
set retry_delays = '{1 second,2 seconds}'
where queue = 'fienta_checks'
  and retry_delays[1] = '1 minute'
