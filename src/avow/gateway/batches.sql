-- Batches are worked on by whichever process is free; each function is the only way around row-level security for its table.

-- The batch that waits longest and that nobody works on, leased until `p_until`; nothing when there is none.
CREATE FUNCTION batch_next(p_at timestamptz, p_until timestamptz)
RETURNS TABLE (id uuid, tenant_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE batch b SET lease_until = p_until
    WHERE b.id = (SELECT w.id FROM batch w WHERE w.ended_at IS NULL AND w.lease_until <= p_at
                  ORDER BY w.lease_until, w.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING b.id, b.tenant_id
$$;

GRANT EXECUTE ON FUNCTION batch_next TO avow_app;
