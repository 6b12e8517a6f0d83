-- A receipt outlives the account of the person, so it is read without a tenant, by whoever has the token.
CREATE FUNCTION rights_receipt(wanted uuid, hash bytea) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT receipt FROM rights_request WHERE id = wanted AND token_hash = hash
$$;

GRANT EXECUTE ON FUNCTION rights_receipt(uuid, bytea) TO avow_app, avow_keeper;

-- How far an erasure came, for the same reader; a step that has not begun has no row yet, and all go with the receipt.
CREATE FUNCTION rights_progress(wanted uuid, hash bytea)
RETURNS TABLE (state text, reason text, plan jsonb, step text, facts integer, done_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.state, r.reason, r.plan, p.step, p.facts, p.done_at
    FROM rights_request r LEFT JOIN erasure_progress p ON p.request_id = r.id
    WHERE r.id = wanted AND r.token_hash = hash
$$;

GRANT EXECUTE ON FUNCTION rights_progress(uuid, bytea) TO avow_app, avow_keeper;


-- What staff need before a tenant is known: ids, words of the policy and times; what was written stays sealed.
CREATE FUNCTION rights_queue(only_open boolean, of_kind text, after_due timestamptz, after_id uuid, at timestamptz,
                             most integer)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, kind text, purpose text, place text, state text, reason text,
               since timestamptz, due_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.id, r.tenant_id, r.subject_id, r.kind, r.purpose, r.place, r.state, r.reason, r.since, r.due_at
    FROM rights_request r
    WHERE (NOT only_open OR r.state NOT IN ('succeeded', 'refused', 'failed'))
      AND (of_kind IS NULL OR r.kind = of_kind)
      AND (after_id IS NULL OR (r.due_at, r.id) > (after_due, after_id))
      AND (r.ends_at IS NULL OR r.ends_at > at)
    ORDER BY r.due_at, r.id LIMIT most
$$;

CREATE FUNCTION rights_tenant(wanted uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM rights_request WHERE id = wanted
$$;

GRANT EXECUTE ON FUNCTION rights_queue(boolean, text, timestamptz, uuid, timestamptz, integer), rights_tenant(uuid)
    TO avow_app;
