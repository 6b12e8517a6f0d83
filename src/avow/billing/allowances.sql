-- What a project, an organisation or a model may use together: set, and listed. Who may do so is asked before (permissions).

-- Set limits in place of those before; without any the allowance is taken away. Money counts from here on: of what was counted
-- before, what is held for running requests stays, until they settle; where the budget is the same as before, it counts on.
-- The ledger works under the locks of wallets: a model's limits are everybody's, all others those of one organisation.
CREATE FUNCTION allowance_put(
    p_kind text, p_id uuid, p_requests_per_min bigint, p_tokens_per_min bigint, p_parallel bigint,
    p_budget_day_nano bigint, p_budget_month_nano bigint, p_budget_total_nano bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF p_kind = 'model' THEN
        LOCK TABLE wallet IN EXCLUSIVE MODE;
    ELSE
        PERFORM 1 FROM wallet w
        WHERE w.tenant_id IN (SELECT p.tenant_id FROM project p WHERE p.id = p_id UNION ALL SELECT p_id)
        ORDER BY w.id FOR NO KEY UPDATE;
    END IF;
    UPDATE allowance_use u SET day_nano = held_nano, month_nano = held_nano, total_nano = held_nano
    WHERE u.allowance_id = p_id AND NOT EXISTS (
        SELECT FROM allowance a WHERE a.id = p_id
           AND (a.budget_day_nano, a.budget_month_nano, a.budget_total_nano)
               IS NOT DISTINCT FROM (p_budget_day_nano, p_budget_month_nano, p_budget_total_nano));
    DELETE FROM allowance WHERE id = p_id;
    IF num_nonnulls(p_requests_per_min, p_tokens_per_min, p_parallel,
                    p_budget_day_nano, p_budget_month_nano, p_budget_total_nano) > 0 THEN
        INSERT INTO allowance (id, kind, requests_per_min, tokens_per_min, parallel,
                               budget_day_nano, budget_month_nano, budget_total_nano)
        VALUES (p_id, p_kind, p_requests_per_min, p_tokens_per_min, p_parallel,
                p_budget_day_nano, p_budget_month_nano, p_budget_total_nano);
    END IF;
END $$;

-- Those of an organisation and its projects, or (null) all, by id, behind `p_after`. A model's is told by the model's name, as
-- long as it is offered.
CREATE FUNCTION allowances_of(p_tenant uuid, p_after uuid, p_limit int)
RETURNS TABLE (id uuid, kind text, model text, requests_per_min bigint, tokens_per_min bigint, parallel bigint,
               budget_day_nano bigint, budget_month_nano bigint, budget_total_nano bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT a.id, a.kind, m.id, a.requests_per_min, a.tokens_per_min, a.parallel,
           a.budget_day_nano, a.budget_month_nano, a.budget_total_nano
    FROM allowance a LEFT JOIN model m ON a.kind = 'model' AND a.id = md5(m.id)::uuid
    WHERE (p_after IS NULL OR a.id > p_after)
      AND (p_tenant IS NULL OR a.id = p_tenant OR a.id IN (SELECT p.id FROM project p WHERE p.tenant_id = p_tenant))
    ORDER BY a.id LIMIT p_limit
$$;

-- Whether there is an organisation or a project to set limits for.
CREATE FUNCTION allowance_named(p_kind text, p_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT CASE p_kind WHEN 'organisation' THEN EXISTS (SELECT FROM tenant t WHERE t.tenant_id = p_id)
                       WHEN 'project' THEN EXISTS (SELECT FROM project p WHERE p.id = p_id)
                       WHEN 'model' THEN EXISTS (SELECT FROM model m WHERE md5(m.id)::uuid = p_id)
                       ELSE false END
$$;

GRANT EXECUTE ON FUNCTION allowance_put, allowances_of, allowance_named TO avow_app, avow_keeper;
