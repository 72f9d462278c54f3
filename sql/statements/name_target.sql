-- Names $2 as the target of queue $1, where a worker's settings say which of several it is. Each keeps its own breaker and rate.
with target as (
    insert into rowcall.targets (target)
    values ($2)
    on conflict do nothing
)

update rowcall.queues as q
set target = $2
where q.queue = $1
  and q.target <> $2
