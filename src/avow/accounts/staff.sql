-- What staff need before a tenant is known. Both answer in ids, words of the policy and times; what is sealed stays so.

CREATE FUNCTION tenant_of_person(wanted uuid, at timestamptz) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.tenant_id FROM person p WHERE p.id = wanted AND (p.ends_at IS NULL OR p.ends_at > at)
$$;

CREATE FUNCTION openings_found(wanted uuid, wanted_actor text, wanted_act text, wanted_category text,
                               wanted_outcome text, since_at timestamptz, until_at timestamptz, older_than uuid,
                               at timestamptz, most integer)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, since timestamptz, actor text, role text, act text,
               category text, purpose text, outcome text, count integer, has_reason boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.id, a.tenant_id, a.subject_id, a.since, a.actor, a.role, a.act, a.category, a.purpose, a.outcome, a.count,
           a.box IS NOT NULL
    FROM audit a
    WHERE (wanted IS NULL OR a.subject_id = wanted)
      AND (wanted_actor IS NULL OR a.actor = wanted_actor) AND (wanted_act IS NULL OR a.act = wanted_act)
      AND (wanted_category IS NULL OR a.category = wanted_category)
      AND (wanted_outcome IS NULL OR a.outcome = wanted_outcome)
      AND (since_at IS NULL OR a.since >= since_at) AND (until_at IS NULL OR a.since < until_at)
      AND (older_than IS NULL OR a.id < older_than)
      AND (a.ends_at IS NULL OR a.ends_at > at)
    ORDER BY a.id DESC LIMIT most
$$;

GRANT EXECUTE ON FUNCTION tenant_of_person(uuid, timestamptz),
    openings_found(uuid, text, text, text, text, timestamptz, timestamptz, uuid, timestamptz, integer) TO avow_app;
