-- What must be found before a tenant is known: a person by address, a session and a confirmation by token, a key by
-- its public id. Each function answers for one exact secret or keyed digest, returns ids, states and times and nothing
-- readable, and is the only way around row-level security for its table. Time is never asked here: callers compare.

CREATE OR REPLACE FUNCTION person_by_email(wanted bytea)
RETURNS TABLE (tenant_id uuid, subject_id uuid, confirmed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.tenant_id, p.subject_id, p.confirmed_at FROM person p WHERE p.email_index = wanted
$$;

CREATE OR REPLACE FUNCTION session_by_token(wanted bytea)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, last_seen_at timestamptz, ends_at timestamptz,
               absolute_ends_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.id, s.tenant_id, s.subject_id, s.last_seen_at, s.ends_at, s.absolute_ends_at
    FROM session s WHERE s.token_hmac = wanted
$$;

CREATE OR REPLACE FUNCTION confirmation_by_token(wanted bytea)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, ends_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.id, c.tenant_id, c.subject_id, c.ends_at FROM confirmation c WHERE c.token_hmac = wanted
$$;

CREATE OR REPLACE FUNCTION api_key_by_public_id(wanted text)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, wallet_id uuid, secret_hmac bytea, state text,
               expires_at timestamptz, keep_h integer, tenant_keep_h integer, confirmed boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.tenant_id, k.subject_id, k.wallet_id, k.secret_hmac, k.state, k.expires_at, k.keep_h, t.keep_h,
           p.confirmed_at IS NOT NULL
    FROM api_key k JOIN tenant t ON t.id = k.tenant_id JOIN person p ON p.id = k.subject_id
    WHERE k.public_id = wanted
$$;

REVOKE ALL ON FUNCTION person_by_email(bytea), session_by_token(bytea), confirmation_by_token(bytea),
    api_key_by_public_id(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION person_by_email(bytea), session_by_token(bytea), confirmation_by_token(bytea),
    api_key_by_public_id(text) TO avow_app;
