-- What a person may type to have an order changed at Fienta, and to look at it.
select l.what, l.line
from (
    values
        (
            1,
            'Change an order, there as here',
            'update orders set status = ''updating'', metadata = metadata || ''{"new_status": "refunded"}'' where customer = ''ada'';'
        ),
        (
            2,
            'One whose number Fienta does not know:',
            'update orders set status = ''updating'', metadata = metadata || ''{"new_status": "refunded"}'' where customer = ''dan'';'
        ),
        (3, 'Look:', 'select customer, status, error_message, metadata from orders where metadata ? ''fienta_order_id'';')
) as l (nth, what, line)
order by l.nth
