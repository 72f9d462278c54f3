-- Locks the policy of the first of the queues that share the target of queue $1 until the transaction ends, so that the claim after
-- it counts what really runs: one account may stand behind several queues. One row is locked, so that nobody waits in a circle.
-- In a statement of its own: a claim that waited for this lock inside itself would count with an old snapshot.
with locked as materialized (
    select q.queue
    from rowcall.queues as q
    where q.queue = (
        select min(o.queue)
        from rowcall.queues as o
        where o.target = (select s.target from rowcall.queues as s where s.queue = $1)
    )
    for no key update
)

select q.cluster_slots
from rowcall.queues as q
cross join (select count(*) from locked) as l
where q.queue = $1
