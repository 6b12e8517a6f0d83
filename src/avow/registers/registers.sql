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

GRANT EXECUTE ON FUNCTION incident_note(uuid, text, text, text, timestamptz), incident_close(uuid, text, timestamptz)
    TO avow_app, avow_keeper;
