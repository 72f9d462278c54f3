-- Doctor: the server. Findings are rows of subject, state (ok, note, problem), found, mend; other doctor_*.sql give the same.
select
    'server' as subject,
    'ok' as state,
    format(
        'PostgreSQL %s, database %s, role %s', current_setting('server_version'), current_database(), current_user
    ) as found,
    null::text as mend
where current_setting('server_version_num')::integer >= 140000
union all
select
    'server',
    'problem',
    format('PostgreSQL %s is too old', current_setting('server_version')),
    'upgrade the server to PostgreSQL 14 or newer'
where current_setting('server_version_num')::integer < 140000
union all
select
    'server',
    'problem',
    'it is a read-only standby',
    'give DATABASE_URL the address of the primary, or add target_session_attrs=read-write with all addresses'
where pg_is_in_recovery()
union all
select
    'server',
    'problem',
    'transactions are read-only by default',
    format('alter database %I set default_transaction_read_only = off;', current_database())
where current_setting('default_transaction_read_only')::boolean
union all
select
    'server',
    'note',
    format(
        'the database is encoded in %s: text that does not fit in it fails the row''s settle',
        current_setting('server_encoding')
    ),
    'use a database with encoding UTF8'
where current_setting('server_encoding') <> 'UTF8'
