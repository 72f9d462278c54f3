-- What a person may type to have an organization told, and to look at it.
select l.what, l.line
from (
    values
        (1, 'Have another system told of an organization, by a signed webhook', 'update organizations set status = ''syncing'' where name = ''Acme'';'),
        (2, 'What it heard:', 'curl {fake}/_control/log'),
        (3, 'Look:', 'select id, name, status, synced_at, attempts, error_message from organizations;')
) as l (nth, what, line)
order by l.nth
