-- The demo's patience with the supplier: nobody waits minutes to see what becomes of a failure.
update rowcall.queues
set retry_delays = '{2 seconds,4 seconds,8 seconds}'
where queue = 'fulfillment_logs'
  and retry_delays = '{5 minutes,15 minutes,1 hour}'
