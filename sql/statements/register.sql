-- Makes worker $1 known: host $2, process $3, version $4, queues that it serves $5.
insert into rowcall.workers (id, host, pid, version, queues)
values ($1::uuid, $2, $3, $4, $5)
