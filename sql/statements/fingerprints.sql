-- What stands in the database of functions, views and triggers, each with a fingerprint of its definition.
select
    'function rowcall.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as object,
    md5(pg_get_functiondef(p.oid)) as fingerprint
from pg_proc as p
where p.pronamespace = 'rowcall'::regnamespace
union all
select
    'function public.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    md5(pg_get_functiondef(p.oid))
from pg_proc as p
where p.pronamespace = 'public'::regnamespace
  and (
      (
          p.pronargs = 0
          and p.proname in ('process_expired_enrollments', 'test_process_expired_enrollments', 'process_crm_sync_queue')
      )
      or p.proname in (
          'request_code_create', 'request_code_update', 'request_code_delete', 'request_code_rename', 'cancel_code_request',
          'approve_action', 'deny_action', 'edit_action'
      )
  )
union all
select
    'view rowcall.' || c.relname,
    md5(pg_get_viewdef(c.oid))
from pg_class as c
where c.relnamespace = 'rowcall'::regnamespace
  and c.relkind = 'v'
union all
select
    'trigger ' || t.tgname || ' on ' || n.nspname || '.' || c.relname,
    md5(pg_get_triggerdef(t.oid))
from pg_trigger as t
join pg_class as c on c.oid = t.tgrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_proc as p on p.oid = t.tgfoid
where p.pronamespace = 'rowcall'::regnamespace
  and not t.tgisinternal
union all
select
    'index ' || n.nspname || '.' || i.relname,
    md5(pg_get_indexdef(i.oid))
from pg_class as i
join pg_namespace as n on n.oid = i.relnamespace
where i.relkind = 'i'
  and i.relname in (
      'codes_due_idx', 'codes_stopped_idx', 'attempts_key_idx', 'attempts_settled_at_idx',
      'schedule_runs_running_key', 'schedule_runs_schedule_idx', 'schedule_runs_began_at_idx',
      'actions_due_idx', 'actions_turn_idx', 'actions_stopped_idx', 'action_responses_action_idx',
      'action_responses_message_idx', 'action_responses_reference_key', 'messages_whatsapp_idx', 'messages_indicator_idx',
      'messages_bubble_key', 'messages_update_key', 'messages_reply_key', 'contacts_digits_idx',
      'fulfillment_logs_order_key', 'fulfillment_logs_due_idx', 'fulfillment_logs_ahead_idx', 'fulfillment_logs_under_way_idx',
      'fulfillment_logs_number_idx', 'fulfillment_logs_stopped_idx', 'fulfillment_logs_created_idx',
      'fulfillment_logs_reference_idx', 'fulfillment_logs_asked_as_idx', 'fulfillment_logs_provider_reference_idx', 'supplier_reports_news_key',
      'supplier_reports_open_idx', 'supplier_reports_log_idx', 'supplier_reports_told_idx',
      'crm_sync_queue_pending_idx', 'crm_sync_queue_processing_idx', 'crm_sync_queue_customer_idx', 'crm_sync_queue_failed_idx',
      'crm_sync_queue_enrollment_idx', 'crm_orders_asked_idx', 'crm_orders_fetching_idx', 'crm_orders_failed_idx',
      'crm_orders_customer_idx', 'customers_crm_idx', 'customers_email_idx', 'enrollments_expiry_idx',
      'enrollments_customer_idx', 'crm_notices_heard_at_idx',
      'fluent_sync_status_due_idx', 'fluent_sync_status_stopped_idx', 'fluent_sync_status_covered_idx',
      'fluent_tickets_request_idx', 'fluent_tickets_updated_idx',
      'codes_owner_idx', 'orders_owner_idx', 'contacts_owner_idx', 'clients_owner_idx', 'requests_owner_idx',
      'fluent_sync_status_owner_idx', 'codes_requested_idx', 'actions_requested_idx', 'fluent_sync_status_requested_idx',
      'links_due_idx', 'links_stopped_idx', 'links_slug_key', 'organizations_due_idx', 'organizations_stopped_idx',
      'orders_due_idx', 'orders_stopped_idx', 'fienta_checks_due_idx', 'answers_answered_at_idx',
      'links_owner_idx', 'organizations_owner_idx', 'links_requested_idx', 'organizations_requested_idx', 'orders_requested_idx'
  )
