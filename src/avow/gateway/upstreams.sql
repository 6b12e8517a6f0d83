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

-- The same of a model's route to an upstream.
CREATE FUNCTION route_change(
    p_model_id text, p_upstream_id uuid, p_revision int, p_their_name text, p_rank int, p_weight int, p_cost_nano bigint
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE route SET their_name = p_their_name, rank = p_rank, weight = p_weight, cost_nano = p_cost_nano,
                     revision = revision + 1
    WHERE model_id = p_model_id AND upstream_id = p_upstream_id AND revision = p_revision;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE policy_epoch SET epoch = epoch + 1;
    RETURN true;
END $$;

GRANT EXECUTE ON FUNCTION route_change TO avow_app, avow_keeper;
