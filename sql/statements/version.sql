-- The newest migration that this database has.
select max(m.version) as version
from rowcall.schema_migrations as m
