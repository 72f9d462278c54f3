-- The server process behind this connection, and its database.
select pg_backend_pid() as pid, current_database()::text as database
