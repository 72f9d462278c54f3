-- What a person may type to have the codes compared, and to look at what came of it.
select l.what, l.line
from (
    values
        (
            1,
            'Make a code here that Fienta does not know, and have all of them compared (by itself every 15 minutes)',
            'insert into codes (code, status) values (''GHOST-5'', ''active'') on conflict do nothing;   update fienta_checks set status = ''checking'';'
        ),
        (2, 'Let a customer use one:', '{fake}redeem --code=SUMMER-20'),
        (3, 'Look:', 'select status, checked_at, listed, compared, usage, drift, error_message from fienta_checks;')
) as l (nth, what, line)
order by l.nth
