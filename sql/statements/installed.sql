-- What the last migrate installed, to be compared with fingerprints.sql under the same search path.
select i.object, i.fingerprint
from rowcall.installed as i
where i.object <> 'files'
order by i.object
