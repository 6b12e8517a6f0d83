-- The only way in which a role other than the keeper puts a job into the queue: a kind and an id, nothing else.
-- A job that already waits or runs is not put twice.
CREATE FUNCTION job_put(kind text, id uuid, not_before timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = jobs, pg_temp AS $$
    INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, status)
    VALUES (0, kind, convert_to(id::text, 'UTF8'), coalesce(not_before, now()), kind || ' ' || id, 'queued')
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
$$;

GRANT EXECUTE ON FUNCTION job_put(text, uuid, timestamptz) TO avow_app, avow_keeper;
