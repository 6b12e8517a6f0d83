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

-- A document that somebody at the desk handed in; what its dates make of it, the keeper tells the history.
CREATE FUNCTION document_add(new_id uuid, new_name text, new_issuer text, new_sha256 text, new_size integer,
                             since timestamptz, until timestamptz, at timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO document (id, name, issuer, sha256, size, valid_from, valid_until, added_at, state, told)
    VALUES (new_id, new_name, new_issuer, new_sha256, new_size, since, until, at, 'held', '')
$$;

-- Takes every document of a name away; the keeper tells the history.
CREATE FUNCTION document_withdraw(wanted text)
RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE document SET state = 'withdrawn' WHERE name = wanted AND state <> 'withdrawn' RETURNING id
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
    flow_note(text, text, text, timestamptz), register_found(uuid, text, integer), document_withdraw(text),
    document_add(uuid, text, text, text, integer, timestamptz, timestamptz, timestamptz) TO avow_app, avow_keeper;
