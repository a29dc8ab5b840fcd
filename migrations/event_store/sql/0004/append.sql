-- To plan the function's statements anew takes longer than to run them. Plans are kept instead, and read by index whatever
-- the size that the tables had when they were made: one made while the log was small would scan it whole once it is large.
ALTER FUNCTION event_store.append SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION event_store.append SET enable_seqscan = off;
