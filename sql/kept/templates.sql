-- The reply templates that ship. A row that stands is its users' and is never touched; one that is deleted comes back, so
-- put it out of use with is_active = false.
insert into public.response_templates (action_type, outcome, language, body)
values
    ('*', 'approved', 'en', 'Good news! Your request has been approved. {{user_response}}'),
    ('*', 'denied', 'en', 'Thank you for your patience. We could not approve your request this time. {{user_response}}'),
    ('*', 'edited', 'en', 'We have an update on your request. {{user_response}}'),
    ('refund_request', 'approved', 'en', 'Great news! Your refund request has been approved. {{user_response}}'),
    ('refund_request', 'denied', 'en', 'I understand your refund request. {{user_response}}'),
    ('refund_request', 'edited', 'en', 'Here is an update on your refund request. {{user_response}}'),
    ('policy_clarification', 'approved', 'en', 'I''ve got the clarification you needed: {{user_response}}'),
    ('policy_clarification', 'denied', 'en', 'Let me help clarify our policy: {{user_response}}'),
    ('policy_clarification', 'edited', 'en', 'Here is an update on our policy: {{user_response}}'),
    ('cancellation_request', 'approved', 'en', 'Your cancellation has been confirmed. {{user_response}}'),
    ('cancellation_request', 'denied', 'en', 'We could not cancel this for you. {{user_response}}'),
    ('cancellation_request', 'edited', 'en', 'Here is an update on your cancellation. {{user_response}}'),
    ('order_change', 'approved', 'en', 'Your order has been changed as you asked. {{user_response}}'),
    ('order_change', 'denied', 'en', 'We could not change your order. {{user_response}}'),
    ('order_change', 'edited', 'en', 'Here is an update on the change to your order. {{user_response}}'),
    ('appointment_request', 'approved', 'en', 'Your appointment is confirmed. {{user_response}}'),
    ('appointment_request', 'denied', 'en', 'We could not confirm this appointment. {{user_response}}'),
    ('appointment_request', 'edited', 'en', 'Here is an update on your appointment. {{user_response}}'),
    ('discount_request', 'approved', 'en', 'Good news! Your discount has been approved. {{user_response}}'),
    ('discount_request', 'denied', 'en', 'We cannot offer this discount at the moment. {{user_response}}'),
    ('discount_request', 'edited', 'en', 'Here is what we can offer you. {{user_response}}'),
    ('complaint', 'approved', 'en', 'Thank you for telling us. We have looked into it. {{user_response}}'),
    ('complaint', 'denied', 'en', 'Thank you for telling us. We have looked into it and see it differently. {{user_response}}'),
    ('complaint', 'edited', 'en', 'Here is an update on your complaint. {{user_response}}'),
    ('information_request', 'approved', 'en', 'Here is the information you asked for. {{user_response}}'),
    ('information_request', 'denied', 'en', 'We cannot share this information. {{user_response}}'),
    ('information_request', 'edited', 'en', 'Here is an update on your question. {{user_response}}')
on conflict do nothing;
