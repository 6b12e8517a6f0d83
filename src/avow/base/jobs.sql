-- The only way in which a role other than the keeper puts a job into the queue: a kind and an id, nothing else.
-- A job that already waits or runs is not put twice.
CREATE FUNCTION job_put(kind text, id uuid, not_before timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = jobs, pg_temp AS $$
    INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, status)
    VALUES (0, kind, convert_to(id::text, 'UTF8'), coalesce(not_before, now()), kind || ' ' || id, 'queued')
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
$$;

GRANT EXECUTE ON FUNCTION job_put(text, uuid, timestamptz) TO avow_app, avow_keeper;

-- What the desk sees of the queue: kinds, states and times. What a job is about stays here.
CREATE FUNCTION jobs_found(wanted text, older_than bigint, most integer)
RETURNS TABLE (id bigint, kind text, state text, tries integer, put_at timestamptz, changed_at timestamptz, due_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = jobs, pg_temp AS $$
    SELECT q.id, q.entrypoint, q.status::text, q.attempts, q.created, q.updated, q.execute_after
    FROM pgqueuer q
    WHERE (wanted IS NULL OR q.status::text = wanted) AND (older_than IS NULL OR q.id < older_than)
    ORDER BY q.id DESC LIMIT most
$$;

CREATE FUNCTION jobs_tally() RETURNS TABLE (state text, jobs bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = jobs, pg_temp AS $$
    SELECT q.status::text, count(*) FROM pgqueuer q GROUP BY q.status
$$;

-- A failed job is tried anew, unless the same one waits or runs again already. False: there is no such failed job.
CREATE FUNCTION job_retry(wanted bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = jobs, pg_temp AS $$
    WITH again AS (
        UPDATE pgqueuer q SET status = 'queued', attempts = 0, execute_after = now(), updated = now(),
               queue_manager_id = NULL, slot = NULL
        WHERE q.id = wanted AND q.status = 'failed' AND NOT EXISTS (
            SELECT FROM pgqueuer other WHERE other.dedupe_key = q.dedupe_key AND other.status IN ('queued', 'picked'))
        RETURNING q.id)
    SELECT EXISTS (SELECT FROM again)
$$;

GRANT EXECUTE ON FUNCTION jobs_found(text, bigint, integer), jobs_tally(), job_retry(bigint) TO avow_app, avow_keeper;
