-- Locks the policies of the queues that share the target of queue $1 until the transaction ends, so that the claim after it counts
-- what really runs: one account may stand behind several queues.
-- In a statement of its own: a claim that waited for this lock inside itself would count with an old snapshot.
with locked as materialized (
    select q.queue, q.cluster_slots
    from rowcall.queues as q
    where q.target = (select o.target from rowcall.queues as o where o.queue = $1)
    order by q.queue
    for no key update
)

select l.cluster_slots
from locked as l
where l.queue = $1
