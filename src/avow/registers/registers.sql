-- What the product's role does to registers that it may otherwise only read.

CREATE FUNCTION incident_note(new_id uuid, wanted_kind text, wanted_part text, wanted_about text, at timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO incident (id, kind, part, about, first_at, last_at, count)
    VALUES (new_id, wanted_kind, wanted_part, wanted_about, at, at, 1)
    ON CONFLICT (kind, part, about) WHERE closed_at IS NULL
    DO UPDATE SET last_at = greatest(incident.last_at, excluded.last_at), count = incident.count + 1
$$;

CREATE FUNCTION incident_close(wanted uuid, who text, at timestamptz)
RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH closed AS (
        UPDATE incident SET closed_at = at, closed_by = who WHERE id = wanted AND closed_at IS NULL RETURNING id)
    SELECT EXISTS (SELECT FROM closed)
$$;

CREATE FUNCTION flow_note(wanted_part text, wanted_host text, wanted_entry text, at timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO egress_flow (part, host, entry, first_at, last_at)
    VALUES (wanted_part, wanted_host, wanted_entry, at, at)
    ON CONFLICT (part, host) DO UPDATE
    SET entry = excluded.entry, last_at = greatest(egress_flow.last_at, excluded.last_at)
$$;

-- For the desk, which sees no tenant's rows: ids, words and dates; what is sealed stays so.
CREATE FUNCTION register_found(older_than uuid, wanted text, most integer)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, since timestamptz, refusal text, terms jsonb, made_by text,
               silent_until timestamptz, reasoned boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT e.id, e.tenant_id, e.subject_id, e.since, e.refusal, e.terms, e.made_by, e.silent_until, e.box IS NOT NULL
    FROM register_entry e
    WHERE (older_than IS NULL OR e.id < older_than) AND (wanted IS NULL OR (e.name = wanted AND e.refusal IS NULL))
    ORDER BY e.id DESC LIMIT most
$$;

GRANT EXECUTE ON FUNCTION incident_note(uuid, text, text, text, timestamptz), incident_close(uuid, text, timestamptz),
    flow_note(text, text, text, timestamptz), register_found(uuid, text, integer) TO avow_app, avow_keeper;
