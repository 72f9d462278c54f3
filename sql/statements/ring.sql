-- Sends $1 over the bell's channel.
select pg_notify('rowcall', $1)
