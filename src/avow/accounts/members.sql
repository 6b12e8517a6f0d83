-- An invitation is found by its token before a tenant is known.
CREATE FUNCTION invitation_by_token(wanted bytea, at timestamptz) RETURNS TABLE (id uuid, tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.id, i.tenant_id FROM invitation i WHERE i.token_hmac = wanted AND i.ends_at > at
$$;

GRANT EXECUTE ON FUNCTION invitation_by_token(bytea, timestamptz) TO avow_app;
