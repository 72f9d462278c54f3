-- What a person may type to have tickets pulled, and to look at them.
select l.what, l.line
from (
    values
        (1, 'Pull the tickets of a WordPress site; again, and it asks for what has changed:', 'insert into fluent_sync_status default values;'),
        (
            2,
            'What you edit of a request stays, whatever becomes of its ticket:',
            'update requests set category = ''Billed'', hours = 1.5 where id = 7;'
        ),
        (
            3,
            'Look:',
            'select status, pages_read, tickets_added, tickets_updated, error_message from fluent_sync_status;   table requests;'
        )
) as l (nth, what, line)
order by l.nth
