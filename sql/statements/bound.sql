-- Locks the policy of queue $1 until the transaction ends, so that the claim after it counts what really runs.
-- In a statement of its own: a claim that waited for this lock inside itself would count with an old snapshot.
select q.cluster_slots
from rowcall.queues as q
where q.queue = $1
for no key update
