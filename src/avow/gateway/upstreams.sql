-- A change to an upstream, from the desk or the terminal: made to the revision that was looked at, or not at all (false).
CREATE FUNCTION upstream_change(
    p_id uuid, p_revision int, p_kind text, p_base_url text, p_credential bytea, p_processor text, p_region text,
    p_trains boolean, p_retention_h int, p_contract text, p_evidence_until timestamptz, p_leaving text, p_state text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE upstream SET kind = p_kind, base_url = p_base_url, credential = p_credential, processor = p_processor,
                        region = p_region, trains = p_trains, retention_h = p_retention_h, contract = p_contract,
                        evidence_until = p_evidence_until, leaving = p_leaving, state = p_state, revision = revision + 1
    WHERE id = p_id AND revision = p_revision AND kind <> 'engine';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE policy_epoch SET epoch = epoch + 1;
    RETURN true;
END $$;

GRANT EXECUTE ON FUNCTION upstream_change TO avow_app, avow_keeper;
