-- What must be found before a tenant is known: a person by address, a session, a confirmation
-- and a reset by token, a passkey and an identity
-- by digest, a key by its public id. Each function answers for one exact digest or id, hides what has ended at `at`, returns ids, states and
-- times and nothing readable, and is the only way around row-level security for its table.

CREATE FUNCTION person_by_email(wanted bytea, at timestamptz)
RETURNS TABLE (tenant_id uuid, subject_id uuid, confirmed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.tenant_id, p.subject_id, p.confirmed_at FROM person p
    WHERE p.email_index = wanted AND (p.ends_at IS NULL OR p.ends_at > at)
$$;

CREATE FUNCTION session_by_token(wanted bytea, at timestamptz)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, last_seen_at timestamptz, absolute_ends_at timestamptz,
               proved_at timestamptz, factor_at timestamptz, asks_factor boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.id, s.tenant_id, s.subject_id, s.last_seen_at, s.absolute_ends_at, s.proved_at, s.factor_at,
           EXISTS (SELECT FROM second_factor f WHERE f.subject_id = s.subject_id AND f.confirmed_at IS NOT NULL)
           OR EXISTS (SELECT FROM passkey k JOIN staff w ON w.id = k.subject_id WHERE k.subject_id = s.subject_id)
    FROM session s
    WHERE s.token_hmac = wanted AND s.ends_at > at AND s.absolute_ends_at > at
$$;

CREATE FUNCTION confirmation_by_token(wanted bytea, at timestamptz)
RETURNS TABLE (tenant_id uuid, subject_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.tenant_id, c.subject_id FROM confirmation c WHERE c.token_hmac = wanted AND c.ends_at > at
$$;

CREATE FUNCTION reset_by_token(wanted bytea, at timestamptz)
RETURNS TABLE (tenant_id uuid, subject_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.tenant_id, r.subject_id FROM reset r WHERE r.token_hmac = wanted AND r.ends_at > at
$$;

CREATE FUNCTION passkey_by_credential(wanted bytea, at timestamptz)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, sign_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.tenant_id, k.subject_id, k.sign_count FROM passkey k
    WHERE k.credential_index = wanted AND (k.ends_at IS NULL OR k.ends_at > at)
$$;

CREATE FUNCTION identity_by_index(wanted bytea, at timestamptz)
RETURNS TABLE (tenant_id uuid, subject_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.tenant_id, i.subject_id FROM identity i
    WHERE i.identity_index = wanted AND (i.ends_at IS NULL OR i.ends_at > at)
$$;

CREATE FUNCTION api_key_by_public_id(wanted text, at timestamptz)
RETURNS TABLE (id uuid, tenant_id uuid, subject_id uuid, wallet_id uuid, secret_hmac bytea, state text,
               expires_at timestamptz, keep_h integer, project_keep_h integer, tenant_keep_h integer, confirmed boolean,
               tokens_per_min bigint, scopes text[], models text[], network_digests text[], accepted integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.tenant_id, k.subject_id, k.wallet_id,
           CASE WHEN k.public_id = wanted THEN k.secret_hmac ELSE k.old_secret_hmac END, k.state,
           CASE WHEN k.public_id = wanted THEN k.expires_at ELSE least(k.expires_at, k.old_until) END, k.keep_h, j.keep_h,
           t.keep_h,
           p.confirmed_at IS NOT NULL, k.tokens_per_min, k.scopes, k.models,
           k.network_digests, (SELECT max(a.accepted_version) FROM acceptance a WHERE a.subject_id = k.subject_id)
    FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id JOIN person p ON p.id = k.subject_id
         LEFT JOIN project j ON j.id = k.project_id
    WHERE (k.public_id = wanted OR k.old_public_id = wanted) AND (k.ends_at IS NULL OR k.ends_at > at)
$$;

-- When keys were last used, in whole minutes. The rows are locked in one order, for all workers do this.
CREATE FUNCTION keys_used(key_id uuid[], minute timestamptz[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 1 FROM api_key k WHERE k.id = ANY (key_id) ORDER BY k.id FOR NO KEY UPDATE;
    UPDATE api_key k SET last_used_at = u.at FROM unnest(key_id, minute) AS u(id, at)
    WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
$$;

GRANT EXECUTE ON FUNCTION person_by_email(bytea, timestamptz), session_by_token(bytea, timestamptz),
    confirmation_by_token(bytea, timestamptz), reset_by_token(bytea, timestamptz),
    passkey_by_credential(bytea, timestamptz), identity_by_index(bytea, timestamptz), api_key_by_public_id(text, timestamptz),
    keys_used(uuid[], timestamptz[]) TO avow_app;
