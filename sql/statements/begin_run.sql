-- Sets up the session of run $1, which may take $2 milliseconds; $3: until its transaction ends. By this name whoever finds
-- its worker dead finds its session.
select
    set_config('application_name', 'rowcall run ' || $1, $3),
    set_config('statement_timeout', $2, $3),
    set_config('idle_in_transaction_session_timeout', '60s', $3),
    set_config('rowcall.run', $1, $3)
