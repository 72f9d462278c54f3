-- What a person may type to have a bundle bought, and to look at it. The numbers are of those that nobody has.
select l.what, l.line
from (
    values
        (
            1,
            'Sell a data bundle: a paid order buys it, once',
            format(
                'insert into orders (network, phone_number, package, amount) values (''AT-iShare'', ''+2332600%s'', ''2GB'', 9.00);',
                lpad(((select count(*) from public.orders) % 100000)::text, 5, '0')
            )
        ),
        (
            2,
            'Look:',
            'select phone_number, package, status, fulfillment_status from orders;   table fulfillment_logs;'
        )
) as l (nth, what, line)
order by l.nth
