-- A receipt outlives the account of the person, so it is read without a tenant, by whoever has the token.
CREATE FUNCTION rights_receipt(wanted uuid, hash bytea) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT receipt FROM rights_request WHERE id = wanted AND token_hash = hash
$$;

GRANT EXECUTE ON FUNCTION rights_receipt(uuid, bytea) TO avow_app, avow_keeper;
