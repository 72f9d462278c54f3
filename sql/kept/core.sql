-- The indexes of the engine's tables. Every migrate puts back what somebody dropped.

create index if not exists attempts_key_idx on rowcall.attempts (key, queue);
create index if not exists attempts_settled_at_idx on rowcall.attempts using brin (settled_at) with (autosummarize = on);

-- What the sweep removes.
create index if not exists answers_answered_at_idx on rowcall.answers (answered_at);
