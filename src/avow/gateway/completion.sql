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
    p_epoch int,
    o_id uuid[], o_key uuid[], o_amount bigint[], o_price uuid[], o_model text[], o_at timestamptz[],
    o_expires timestamptz[], o_money_ends timestamptz[], o_usage_ends timestamptz[], o_version int[], o_tokens int[],
    s_id uuid[], s_amount bigint[], s_input int[], s_cached int[], s_output int[], s_latency int[], s_status int[],
    s_why text[], s_write int[], s_reasoning int[], s_image int[], s_audio int[], s_estimated boolean[],
    c_id uuid[], c_input int[], c_cached int[], c_output int[],
    t_id uuid[], t_ends timestamptz[], t_box bytea[], t_of_tenant boolean[], t_usage_of_tenant boolean[],
    t_line uuid[], t_line_box bytea[], t_line_size bigint[],
    OUT refused int[], OUT reasons text[], OUT affordable bigint[], OUT settled int[], OUT charged bigint[],
    OUT fresh int, OUT epoch bigint, OUT rated int[], OUT rates bigint[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_resent boolean;
    v_fresh uuid[];
BEGIN
    SELECT b.* INTO refused, reasons, affordable, settled, charged, fresh, epoch, rated, rates
    FROM ledger_batch(p_epoch, o_id, o_key, o_amount, o_price, o_model, o_at, o_expires, o_money_ends, o_usage_ends,
                      o_version, o_tokens, s_id, s_amount, s_input, s_cached, s_output, s_latency, s_status, s_why,
                      s_write, s_reasoning, s_image, s_audio, s_estimated, c_id, c_input, c_cached, c_output) b;
    IF cardinality(t_id) > 0 THEN
        v_resent := fresh < cardinality(s_id);
        IF v_resent THEN
            v_fresh := ARRAY(SELECT s_id[n] FROM unnest(settled[1:fresh]) AS n);
        END IF;
        INSERT INTO trace (id, tenant_id, subject_id, since, ends_at, policy_version, box)
        SELECT t.id, c.tenant_id, CASE WHEN t.of_tenant THEN c.tenant_id ELSE c.subject_id END, c.since, t.ends_at,
               c.policy_version, t.box
        FROM unnest(t_id, t_ends, t_box, t_of_tenant) AS t(id, ends_at, box, of_tenant)
        JOIN charge c ON c.id = t.id
        WHERE t.box IS NOT NULL AND (NOT v_resent OR t.id = ANY (v_fresh));
        IF true = ANY (t_usage_of_tenant) THEN
            UPDATE usage u SET subject_id = u.tenant_id FROM unnest(t_id, t_usage_of_tenant) AS t(id, of_tenant)
            WHERE u.id = t.id AND t.of_tenant;
        END IF;
        PERFORM line_write(t.line, t.id, t.box, t.size)
        FROM unnest(t_id, t_line, t_line_box, t_line_size) AS t(id, line, box, size)
        WHERE t.line IS NOT NULL AND (NOT v_resent OR t.id = ANY (v_fresh));
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
