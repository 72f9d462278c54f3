-- What every migrate puts back where somebody dropped it. The migrations made it first; here it stands as it is now.

create index if not exists attempts_key_idx on rowcall.attempts (key, queue);
create index if not exists attempts_settled_at_idx on rowcall.attempts using brin (settled_at) with (autosummarize = on);
