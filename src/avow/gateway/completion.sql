-- A completion's end: the charge, the usage, the kept trace and the answered line of a batch in one transaction.
--
-- Whose trace it is comes from the charge that this very call writes. A settle that finds no hold keeps no trace: it is a
-- resend, and a trace deleted since must not come back, or the person no longer exists.
-- Where the policy says that content or usage belongs to the organisation, its subject is the organisation: the tenant's own id.

-- The line of a batch whose request `p_id` was just charged. One that is not there any more, or not the payer's, is left alone.
CREATE FUNCTION line_write(p_line uuid, p_id uuid, p_box bytea, p_size bigint) RETURNS void LANGUAGE sql
SET search_path = public, pg_temp
AS $$
    UPDATE batch_line l SET state = CASE WHEN u.status < 400 THEN 'done' ELSE 'failed' END, box = p_box, size = p_size
    FROM usage u WHERE u.id = p_id AND l.id = p_line AND l.tenant_id = u.tenant_id AND l.state = 'waiting'
$$;

CREATE FUNCTION completion_batch(
    p_epoch int, opens told_open[], settles told_settle[], checkpoints told_checkpoint[], traces told_trace[],
    OUT refused int[], OUT reasons text[], OUT affordable bigint[], OUT differing int[], OUT charged bigint[],
    OUT fresh int[], OUT epoch bigint, OUT rated int[], OUT rates bigint[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_resent boolean;
    v_fresh uuid[];
    v_usage_of_tenant boolean;
    v_lines boolean;
BEGIN
    SELECT b.* INTO refused, reasons, affordable, differing, charged, fresh, epoch, rated, rates
    FROM ledger_batch(p_epoch, opens, settles, checkpoints) b;
    IF cardinality(traces) > 0 THEN
        v_resent := fresh IS NOT NULL;
        IF v_resent THEN
            v_fresh := ARRAY(SELECT (settles[n]).id FROM unnest(fresh) AS n);
        END IF;
        WITH told AS (
            SELECT * FROM unnest(traces)
        ), kept AS (
            INSERT INTO trace (id, tenant_id, subject_id, since, ends_at, policy_version, box)
            SELECT t.id, c.tenant_id, CASE WHEN t.of_tenant THEN c.tenant_id ELSE c.subject_id END, c.since, t.ends_at,
                   c.policy_version, t.box
            FROM told t JOIN charge c ON c.id = ANY (ARRAY[t.id])
            WHERE t.box IS NOT NULL AND (NOT v_resent OR t.id = ANY (v_fresh))
        )
        SELECT bool_or(usage_of_tenant), bool_or(line IS NOT NULL) INTO v_usage_of_tenant, v_lines FROM told;
        IF v_usage_of_tenant THEN
            UPDATE usage u SET subject_id = u.tenant_id FROM unnest(traces) t WHERE u.id = ANY (ARRAY[t.id]) AND t.usage_of_tenant;
        END IF;
        IF v_lines THEN
            PERFORM line_write(t.line, t.id, t.line_box, t.line_size) FROM unnest(traces) t
            WHERE t.line IS NOT NULL AND (NOT v_resent OR t.id = ANY (v_fresh));
        END IF;
    END IF;
END $$;

CREATE FUNCTION completion_settle(
    p_id uuid, p_amount bigint, p_input int, p_cached int, p_output int, p_latency int, p_status int, p_why text,
    p_write int, p_reasoning int, p_image int, p_audio int, p_estimated boolean,
    p_trace_ends timestamptz, p_box bytea, p_of_tenant boolean, p_usage_of_tenant boolean,
    p_line uuid, p_line_box bytea, p_line_size bigint,
    OUT charged bigint, OUT fresh boolean, OUT epoch bigint
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    SELECT s.charged, s.fresh, s.epoch INTO charged, fresh, epoch
    FROM ledger_settle(p_id, p_amount, p_input, p_cached, p_output, p_latency, p_status, p_why, p_write, p_reasoning, p_image,
                       p_audio, p_estimated) s;
    INSERT INTO trace (id, tenant_id, subject_id, since, ends_at, policy_version, box)
    SELECT c.id, c.tenant_id, CASE WHEN p_of_tenant THEN c.tenant_id ELSE c.subject_id END, c.since, p_trace_ends,
           c.policy_version, p_box
    FROM charge c WHERE c.id = p_id AND p_box IS NOT NULL AND fresh;
    IF p_usage_of_tenant AND fresh THEN
        UPDATE usage u SET subject_id = u.tenant_id WHERE u.id = p_id;
    END IF;
    IF p_line IS NOT NULL AND fresh THEN
        PERFORM line_write(p_line, p_id, p_line_box, p_line_size);
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION completion_batch, completion_settle TO avow_writer, avow_keeper;
