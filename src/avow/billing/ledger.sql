-- The ledger. A call is a transaction: after it returns, money is held or charged for good.
--
-- Every function locks the wallets that it will touch in the order of their ids before anything else, so that two batches
-- never wait for each other, and each later statement sees what was committed before the lock was granted.
-- What a call is told comes as arrays of rows, whose types the migrations make: one array of rows costs the driver and
-- PostgreSQL less than an array per field, above all when most are empty.
-- The plans are made once per session and must probe indexes: a plan made while a table was empty would read it whole later.
-- So rows are looked up by subqueries that cannot become joins, and where rows are changed, the join's condition is
-- `id = ANY (ARRAY[…])`: that one can be answered by a probe for each element only, while `=` offers an index's whole order too.

-- One batch: settles first (they free money), then opens in order of arrival, then checkpoints. Resending it changes nothing.
-- Answers list only what differs from "all opened, all charged as asked", and are null where nothing does: `refused` are positions
-- in `opens` with a reason and what would be possible (`affordable`: for 'money' and budgets in nano-units, for rates the seconds
-- to wait); `differing` are positions in `settles` with the amount `charged` (null: no such hold); `fresh` are the positions that
-- this very call charged, null where it charged all; `rated` are positions in `opens` under a rate, with four `rates` each (see
-- `open_rates`).
CREATE FUNCTION ledger_batch(
    p_epoch int, opens told_open[], settles told_settle[], checkpoints told_checkpoint[],
    OUT refused int[], OUT reasons text[], OUT affordable bigint[], OUT differing int[], OUT charged bigint[],
    OUT fresh int[], OUT epoch bigint, OUT rated int[], OUT rates bigint[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    r record;
    v_wallet uuid;
    v_left bigint;
    v_reason text;
    v_room bigint;
    v_counted_at timestamptz;
    v_shared uuid[];
    v_shared_at timestamptz;
    v_allowances boolean;
    v_corrections key_correction[];
    v_unlimited boolean := false;
    v_placed int := 0;
BEGIN
    PERFORM 1 FROM wallet w
    WHERE w.id = ANY (ARRAY(SELECT (SELECT k.wallet_id FROM api_key k WHERE k.id = o.key_id) FROM unnest(opens) o)
                      || ARRAY(SELECT (SELECT h.wallet_id FROM wallet_hold h WHERE h.id = t.id) FROM unnest(settles) t))
    ORDER BY w.id FOR NO KEY UPDATE;

    IF cardinality(settles) > 0 THEN
        WITH gone AS (
            DELETE FROM wallet_hold h
            USING unnest(settles) WITH ORDINALITY AS t(id, asked, input, cached, output, latency, status, why, write, reasoning,
                                                       image, audio, estimated, n)
            WHERE h.id = ANY (ARRAY[t.id])
            RETURNING t.n, t.asked, t.input, t.cached, t.output, t.latency, t.status, t.why, t.write, t.reasoning, t.image,
                t.audio, t.estimated, least(t.asked, h.amount) AS due,
                h.id, h.wallet_id, h.key_id, h.price_id, h.model, h.amount, h.money_ends_at, h.usage_ends_at,
                h.tenant_id, h.subject_id, h.since, h.policy_version, h.tokens_max, h.counted_at, h.shared, h.shared_at
        ), money AS (
            INSERT INTO charge (id, wallet_id, price_id, held, amount, absorbed,
                                tenant_id, subject_id, since, ends_at, policy_version)
            SELECT id, wallet_id, price_id, amount, due, asked - due,
                   tenant_id, subject_id, since, money_ends_at, policy_version FROM gone
        ), used AS (
            INSERT INTO usage (id, key_id, model, input_tokens, cached_tokens, output_tokens, latency_ms, status, why,
                               cache_write_tokens, reasoning_tokens, image_tokens, audio_tokens, estimated,
                               tenant_id, subject_id, since, ends_at, policy_version)
            SELECT id, key_id, model, input, cached, output, latency, status, why, write, reasoning, image, audio, estimated,
                   tenant_id, subject_id, since, usage_ends_at, policy_version FROM gone
        ), moved AS (
            UPDATE wallet w SET held = w.held - x.held, posted = w.posted - x.due
            FROM (SELECT wallet_id, sum(amount)::bigint AS held, sum(due)::bigint AS due FROM gone GROUP BY wallet_id) x
            WHERE w.id = ANY (ARRAY[x.wallet_id])
        )
        SELECT coalesce(array_agg(n::int), '{}'),
               array_agg(n::int) FILTER (WHERE due <> asked), array_agg(due) FILTER (WHERE due <> asked),
               array_agg((key_id, counted_at, shared, shared_at, (why = 'void')::int, tokens_max::bigint - input - output,
                          amount, amount - due)::key_correction) FILTER (WHERE counted_at IS NOT NULL OR shared IS NOT NULL)
        INTO fresh, differing, charged, v_corrections FROM gone;

        IF v_corrections IS NOT NULL THEN
            PERFORM batch_correct(v_corrections);
        END IF;

        IF cardinality(fresh) = cardinality(settles) THEN
            fresh := NULL;
        ELSE  -- a resend: the others were settled before
            SELECT differing || array_agg(t.n::int), charged || array_agg(c.amount)
            INTO differing, charged
            FROM (SELECT t.id, t.asked, n FROM unnest(settles) WITH ORDINALITY AS t(id, asked, input, cached, output, latency, status, why,
                      write, reasoning, image, audio, estimated, n)) AS t
            LEFT JOIN LATERAL (SELECT c.amount FROM charge c WHERE c.id = t.id LIMIT 1) c ON true
            WHERE t.n <> ALL (fresh) AND c.amount IS DISTINCT FROM t.asked;
        END IF;
    END IF;

    IF cardinality(opens) > 0 THEN
        SELECT EXISTS (SELECT 1 FROM allowance),
               EXISTS (SELECT 1 FROM unnest(opens) o CROSS JOIN LATERAL (
                           SELECT coalesce(k.requests_per_min, k.tokens_per_min, k.parallel, k.budget_day_nano,
                                           k.budget_month_nano, k.budget_total_nano) IS NULL AS unlimited
                           FROM api_key k WHERE k.id = o.key_id LIMIT 1
                       ) k WHERE k.unlimited)
        INTO v_allowances, v_unlimited;
    END IF;

    IF v_unlimited THEN
        -- Most keys have no limits. Where a wallet has what all of them ask for together, nothing needs to be counted.
        WITH asked AS (
            SELECT a.*, k.tenant_id, k.subject_id, k.wallet_id, w.free,
                k.unlimited AND (SELECT true FROM key_use u WHERE u.id = a.key_id) IS NULL
                    AND (NOT v_allowances OR (
                        SELECT true FROM allowance l
                        WHERE l.id = ANY (ARRAY[k.project_id, k.tenant_id, md5(a.model)::uuid]) LIMIT 1
                    ) IS NULL) AS unlimited
            FROM unnest(opens) a
            CROSS JOIN LATERAL (
                SELECT k.tenant_id, k.subject_id, k.wallet_id, k.project_id,
                       coalesce(k.requests_per_min, k.tokens_per_min, k.parallel, k.budget_day_nano, k.budget_month_nano,
                                k.budget_total_nano) IS NULL AS unlimited
                FROM api_key k
                WHERE k.id = a.key_id AND k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > a.at) LIMIT 1
            ) k
            CROSS JOIN LATERAL (
                SELECT w.posted + w.credit_limit - w.held AS free FROM wallet w
                WHERE w.id = k.wallet_id AND w.tenant_id = k.tenant_id AND w.state = 'active' LIMIT 1
            ) w
            WHERE (SELECT true FROM wallet_hold h WHERE h.id = a.id) IS NULL
              AND (SELECT true FROM charge c WHERE c.id = a.id) IS NULL
        ), judged AS (
            SELECT *, sum(amount) OVER (PARTITION BY wallet_id) AS total FROM asked
        ), placed AS (
            INSERT INTO wallet_hold (id, wallet_id, key_id, price_id, model, amount, worker_epoch, expires_at,
                                     money_ends_at, usage_ends_at, first_byte, input_tokens, cached_tokens,
                                     output_tokens, tenant_id, subject_id, since, policy_version, tokens_max, ends_at)
            SELECT id, wallet_id, key_id, price_id, model, amount, p_epoch, expires_at,
                   money_ends_at, usage_ends_at, false, 0, 0, 0, tenant_id, subject_id, at, version, tokens_max, money_ends_at
            FROM judged WHERE unlimited AND total <= free
            RETURNING wallet_id, amount
        ), moved AS (
            UPDATE wallet w SET held = w.held + x.amount
            FROM (SELECT wallet_id, sum(amount)::bigint AS amount FROM placed GROUP BY wallet_id) x
            WHERE w.id = ANY (ARRAY[x.wallet_id])
        )
        SELECT count(*) INTO v_placed FROM placed;
    END IF;

    IF v_placed < cardinality(opens) THEN
        FOR r IN
            WITH asked AS (
                SELECT a.*, k.*, w.free, u.*, s.shares,
                    CASE
                        WHEN (SELECT true FROM wallet_hold h WHERE h.id = a.id) THEN 'again'
                        WHEN (SELECT true FROM charge c WHERE c.id = a.id) THEN 'settled'
                        WHEN k.live IS NOT TRUE THEN 'key'
                        WHEN w.state IS DISTINCT FROM 'active' THEN 'wallet'
                        ELSE 'new'
                    END AS fate
                FROM unnest(opens)
                    WITH ORDINALITY AS a(id, key_id, amount, price_id, model, at, expires_at, money_ends_at,
                                         usage_ends_at, version, tokens_max, n)
                LEFT JOIN LATERAL (
                    SELECT k.tenant_id, k.subject_id, k.wallet_id, k.project_id, k.parallel,
                           k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > a.at) AS live,
                           k.requests_per_min, k.tokens_per_min, k.budget_day_nano, k.budget_month_nano, k.budget_total_nano,
                           coalesce(k.requests_per_min, k.tokens_per_min, k.parallel, k.budget_day_nano,
                                    k.budget_month_nano, k.budget_total_nano) IS NOT NULL AS limited
                    FROM api_key k WHERE k.id = a.key_id LIMIT 1
                ) k ON true
                LEFT JOIN LATERAL (
                    SELECT w.posted + w.credit_limit - w.held AS free, w.state FROM wallet w
                    WHERE w.id = k.wallet_id AND w.tenant_id = k.tenant_id LIMIT 1
                ) w ON true
                LEFT JOIN LATERAL (
                    SELECT true AS counts, u.minute, u.requests, u.tokens, u.day_nano, u.month_nano, u.total_nano, u.running
                    FROM key_use u WHERE u.id = a.key_id LIMIT 1
                ) u ON true
                LEFT JOIN LATERAL (  -- not looked for where the platform has none
                    SELECT true AS shares FROM allowance l
                    WHERE v_allowances AND l.id = ANY (ARRAY[k.project_id, k.tenant_id, md5(a.model)::uuid]) LIMIT 1
                ) s ON true
            ), summed AS (
                SELECT *, sum(amount) FILTER (WHERE fate = 'new') OVER (PARTITION BY wallet_id) AS total,
                    -- null where nothing is counted
                    max(CASE WHEN counts THEN greatest(date_trunc('minute', at, 'UTC'), minute) END)
                        FILTER (WHERE fate = 'new') OVER of_key AS counted_at,
                    count(*) FILTER (WHERE fate = 'new') OVER of_key AS key_requests,
                    sum(tokens_max) FILTER (WHERE fate = 'new') OVER of_key AS key_tokens,
                    sum(amount) FILTER (WHERE fate = 'new') OVER of_key AS key_amount
                FROM asked
                WINDOW of_key AS (PARTITION BY wallet_id, key_id)
            ), judged AS (  -- whether all of a wallet and of a key can have what they ask for together; a limit of null is none
                SELECT *, CASE
                    WHEN fate <> 'new' OR total > free OR shares THEN false
                    WHEN counts THEN coalesce(key_requests + used_within('minute', counted_at, minute, requests) <= requests_per_min, true)
                        AND coalesce(key_tokens + used_within('minute', counted_at, minute, tokens) <= tokens_per_min, true)
                        AND coalesce(key_requests + running <= parallel, true)
                        AND coalesce(key_amount + used_within('day', counted_at, minute, day_nano) <= budget_day_nano, true)
                        AND coalesce(key_amount + used_within('month', counted_at, minute, month_nano) <= budget_month_nano, true)
                        AND coalesce(key_amount + total_nano <= budget_total_nano, true)
                    ELSE NOT limited
                END AS fits
                FROM summed
            ), placed AS (
                INSERT INTO wallet_hold (id, wallet_id, key_id, price_id, model, amount, worker_epoch, expires_at,
                                         money_ends_at, usage_ends_at, first_byte, input_tokens, cached_tokens,
                                         output_tokens, tenant_id, subject_id, since, policy_version, tokens_max,
                                         counted_at, ends_at)
                SELECT id, wallet_id, key_id, price_id, model, amount, p_epoch, expires_at,
                       money_ends_at, usage_ends_at, false, 0, 0, 0, tenant_id, subject_id, at, version, tokens_max,
                       counted_at, money_ends_at
                FROM judged WHERE fits
                RETURNING wallet_id, key_id, amount, tokens_max, counted_at
            ), moved AS (
                UPDATE wallet w SET held = w.held + x.amount
                FROM (SELECT wallet_id, sum(amount)::bigint AS amount FROM placed GROUP BY wallet_id) x
                WHERE w.id = ANY (ARRAY[x.wallet_id])
            ), debited AS (  -- as key_debit
                UPDATE key_use u SET
                    requests = used_within('minute', x.at, u.minute, u.requests) + x.requests,
                    tokens = used_within('minute', x.at, u.minute, u.tokens) + x.tokens,
                    day_nano = used_within('day', x.at, u.minute, u.day_nano) + x.amount,
                    month_nano = used_within('month', x.at, u.minute, u.month_nano) + x.amount,
                    total_nano = u.total_nano + x.amount, held_nano = u.held_nano + x.amount, minute = x.at,
                    running = u.running + x.requests
                FROM (SELECT key_id, max(counted_at) AS at, count(*) AS requests, sum(tokens_max) AS tokens,
                             sum(amount)::bigint AS amount
                      FROM placed WHERE counted_at IS NOT NULL GROUP BY key_id) x
                WHERE u.id = ANY (ARRAY[x.key_id])
            )
            SELECT *, used_within('minute', counted_at, minute, requests) + key_requests AS requests_used,
                   used_within('minute', counted_at, minute, tokens) + key_tokens AS tokens_used
            FROM judged WHERE NOT fits AND fate <> 'again' OR fits AND coalesce(requests_per_min, tokens_per_min) IS NOT NULL
            ORDER BY wallet_id, n
        LOOP
            IF r.fits THEN  -- placed; its client is told what is left of the key's rates
                rated := rated || r.n::int;
                rates := rates || ARRAY[r.requests_per_min, r.requests_per_min - r.requests_used, r.tokens_per_min,
                                        r.tokens_per_min - r.tokens_used]::bigint[];
                CONTINUE;
            END IF;
            v_reason := r.fate; v_room := 0; v_counted_at := NULL; v_shared := NULL; v_shared_at := NULL;
            IF r.fate = 'new' THEN  -- wallet or key cannot have all of them: first come, first served, whoever fits
                IF r.wallet_id IS DISTINCT FROM v_wallet THEN
                    v_wallet := r.wallet_id; v_left := r.free;
                END IF;
                v_reason := NULL;
                IF r.amount > v_left THEN
                    v_reason := 'money'; v_room := v_left;
                ELSIF r.limited OR r.counts THEN
                    SELECT reason, room, counted_at INTO v_reason, v_room, v_counted_at
                    FROM key_room(r.key_id, r.at, r.tokens_max, r.amount);
                END IF;
                IF v_reason IS NULL AND r.shares THEN
                    SELECT x.reason, x.room, x.shared, x.shared_at INTO v_reason, v_room, v_shared, v_shared_at
                    FROM shared_room(r.project_id, r.tenant_id, r.model, r.at, r.tokens_max, r.amount) x;
                END IF;
                IF v_reason IS NULL THEN
                    v_left := v_left - r.amount;
                    INSERT INTO wallet_hold (id, wallet_id, key_id, price_id, model, amount, worker_epoch, expires_at,
                                             money_ends_at, usage_ends_at, first_byte, input_tokens, cached_tokens,
                                             output_tokens, tenant_id, subject_id, since, policy_version, tokens_max,
                                             counted_at, ends_at, shared, shared_at)
                    VALUES (r.id, r.wallet_id, r.key_id, r.price_id, r.model, r.amount, p_epoch, r.expires_at,
                            r.money_ends_at, r.usage_ends_at, false, 0, 0, 0, r.tenant_id, r.subject_id, r.at, r.version,
                            r.tokens_max, v_counted_at, r.money_ends_at, v_shared, v_shared_at);
                    UPDATE wallet w SET held = w.held + r.amount WHERE w.id = r.wallet_id;
                    IF v_counted_at IS NOT NULL THEN
                        PERFORM key_debit(r.key_id, v_counted_at, 1, r.tokens_max, r.amount);
                    END IF;
                    IF v_shared IS NOT NULL THEN
                        PERFORM shared_debit(v_shared, v_shared_at, r.tokens_max, r.amount);
                    END IF;
                END IF;
                IF r.limited OR r.shares THEN
                    rated := rated || r.n::int;
                    rates := rates || open_rates(r.key_id, r.project_id, r.tenant_id, r.model, r.at);
                END IF;
                CONTINUE WHEN v_reason IS NULL;
            END IF;
            refused := refused || r.n::int;
            reasons := reasons || v_reason;
            affordable := affordable || v_room;
        END LOOP;
    END IF;

    IF cardinality(checkpoints) > 0 THEN
        UPDATE wallet_hold h
        SET first_byte = true, input_tokens = c.input, cached_tokens = c.cached, output_tokens = c.output
        FROM unnest(checkpoints) c WHERE h.id = ANY (ARRAY[c.id]);
    END IF;

    epoch := coalesce((SELECT e.epoch FROM policy_epoch e WHERE e.id = 1), 0);
END $$;

-- A batch of one open, for latency. `reason` is null when the hold is durable.
CREATE FUNCTION ledger_open(
    p_epoch int, p_id uuid, p_key uuid, p_amount bigint, p_price uuid, p_model text, p_at timestamptz,
    p_expires timestamptz, p_money_ends timestamptz, p_usage_ends timestamptz, p_version int,
    p_tokens int,
    OUT reason text, OUT affordable bigint, OUT epoch bigint, OUT rates bigint[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    v_wallet uuid;
    v_free bigint;
    v_state text;
    v_limited boolean;
    v_counted_at timestamptz;
    v_tenant uuid;
    v_project uuid;
    v_shares boolean;
    v_shared uuid[];
    v_shared_at timestamptz;
BEGIN
    epoch := coalesce((SELECT e.epoch FROM policy_epoch e WHERE e.id = 1), 0);
    SELECT k.wallet_id, k.tenant_id, k.project_id,
           coalesce(k.requests_per_min, k.tokens_per_min, k.parallel, k.budget_day_nano, k.budget_month_nano,
                    k.budget_total_nano) IS NOT NULL OR EXISTS (SELECT 1 FROM key_use u WHERE u.id = p_key),
           EXISTS (SELECT 1 FROM allowance l WHERE l.id = ANY (ARRAY[k.project_id, k.tenant_id, md5(p_model)::uuid]))
    INTO v_wallet, v_tenant, v_project, v_limited, v_shares FROM api_key k WHERE k.id = p_key;
    SELECT w.posted + w.credit_limit - w.held, w.state INTO v_free, v_state
    FROM wallet w JOIN api_key k ON k.id = p_key AND k.tenant_id = w.tenant_id
    WHERE w.id = v_wallet FOR NO KEY UPDATE OF w;
    affordable := 0;
    IF EXISTS (SELECT 1 FROM wallet_hold h WHERE h.id = p_id) THEN
        RETURN;
    ELSIF EXISTS (SELECT 1 FROM charge c WHERE c.id = p_id) THEN
        reason := 'settled';
        RETURN;
    ELSIF v_state IS DISTINCT FROM 'active' THEN  -- or not the wallet of the key's tenant
        reason := 'wallet';
    ELSIF p_amount > v_free THEN
        reason := 'money';
        affordable := v_free;
    ELSIF v_limited THEN
        SELECT r.reason, r.room, r.counted_at INTO reason, affordable, v_counted_at
        FROM key_room(p_key, p_at, p_tokens, p_amount) r;
    END IF;
    IF reason IS NULL AND v_shares THEN
        SELECT x.reason, x.room, x.shared, x.shared_at INTO reason, affordable, v_shared, v_shared_at
        FROM shared_room(v_project, v_tenant, p_model, p_at, p_tokens, p_amount) x;
    END IF;
    -- The key is judged by the statement that places the hold, so that a revocation is never overtaken.
    INSERT INTO wallet_hold (id, wallet_id, key_id, price_id, model, amount, worker_epoch, expires_at, money_ends_at,
                             usage_ends_at, first_byte, input_tokens, cached_tokens, output_tokens,
                             tenant_id, subject_id, since, policy_version, tokens_max, counted_at, ends_at,
                             shared, shared_at)
    SELECT p_id, k.wallet_id, p_key, p_price, p_model, p_amount, p_epoch, p_expires, p_money_ends,
           p_usage_ends, false, 0, 0, 0, k.tenant_id, k.subject_id, p_at, p_version, p_tokens, v_counted_at, p_money_ends,
           v_shared, v_shared_at
    FROM api_key k
    WHERE k.id = p_key AND k.wallet_id = v_wallet AND reason IS NULL
      AND k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > p_at);
    IF FOUND THEN
        affordable := 0;
        UPDATE wallet w SET held = w.held + p_amount WHERE w.id = v_wallet;
        IF v_counted_at IS NOT NULL THEN
            PERFORM key_debit(p_key, v_counted_at, 1, p_tokens, p_amount);
        END IF;
        IF v_shared IS NOT NULL THEN
            PERFORM shared_debit(v_shared, v_shared_at, p_tokens, p_amount);
        END IF;
    ELSIF reason IS NULL OR NOT EXISTS (
        SELECT 1 FROM api_key k
        WHERE k.id = p_key AND k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > p_at)
    ) THEN
        reason := 'key';
        affordable := 0;
    END IF;
    IF v_limited OR v_shares THEN
        rates := open_rates(p_key, v_project, v_tenant, p_model, p_at);
    END IF;
END $$;

-- A batch of one settle, for latency. `charged` is null when there is no such hold and never was such a charge; `fresh` says
-- that this very call charged it.
CREATE FUNCTION ledger_settle(
    p_id uuid, p_amount bigint, p_input int, p_cached int, p_output int, p_latency int, p_status int, p_why text,
    p_write int, p_reasoning int, p_image int, p_audio int, p_estimated boolean,
    OUT charged bigint, OUT fresh boolean, OUT epoch bigint
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    h record;
BEGIN
    epoch := coalesce((SELECT e.epoch FROM policy_epoch e WHERE e.id = 1), 0);
    PERFORM 1 FROM wallet w WHERE w.id = (SELECT h.wallet_id FROM wallet_hold h WHERE h.id = p_id) FOR NO KEY UPDATE;
    DELETE FROM wallet_hold WHERE wallet_hold.id = p_id RETURNING * INTO h;
    fresh := FOUND;
    IF NOT fresh THEN
        charged := (SELECT c.amount FROM charge c WHERE c.id = p_id);
        RETURN;
    END IF;
    charged := least(p_amount, h.amount);
    INSERT INTO charge (id, wallet_id, price_id, held, amount, absorbed,
                        tenant_id, subject_id, since, ends_at, policy_version)
    VALUES (p_id, h.wallet_id, h.price_id, h.amount, charged, p_amount - charged,
            h.tenant_id, h.subject_id, h.since, h.money_ends_at, h.policy_version);
    INSERT INTO usage (id, key_id, model, input_tokens, cached_tokens, output_tokens, latency_ms, status, why,
                       cache_write_tokens, reasoning_tokens, image_tokens, audio_tokens, estimated,
                       tenant_id, subject_id, since, ends_at, policy_version)
    VALUES (p_id, h.key_id, h.model, p_input, p_cached, p_output, p_latency, p_status, p_why,
            p_write, p_reasoning, p_image, p_audio, p_estimated,
            h.tenant_id, h.subject_id, h.since, h.usage_ends_at, h.policy_version);
    UPDATE wallet w SET held = w.held - h.amount, posted = w.posted - charged WHERE w.id = h.wallet_id;
    IF h.counted_at IS NOT NULL THEN
        PERFORM key_correct(h.key_id, h.counted_at, p_why = 'void', h.tokens_max::bigint - p_input - p_output, h.amount,
                            h.amount - charged);
    END IF;
    IF h.shared IS NOT NULL THEN
        PERFORM shared_correct(h.shared, h.shared_at, p_why = 'void', h.tokens_max::bigint - p_input - p_output, h.amount,
                               h.amount - charged);
    END IF;
END $$;

-- A worker's life begins, and goes on (again, if it was taken for dead). The worker keeps a session advisory lock on its epoch.
CREATE FUNCTION worker_begin(p_at timestamptz, p_pid int) RETURNS int LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$ INSERT INTO worker_epoch (heartbeat, pid) VALUES (p_at, p_pid) RETURNING epoch $$;

CREATE FUNCTION worker_beat(p_epoch int, p_at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    INSERT INTO worker_epoch (epoch, heartbeat) OVERRIDING SYSTEM VALUE VALUES (p_epoch, p_at)
    ON CONFLICT (epoch) DO UPDATE SET heartbeat = excluded.heartbeat
$$;

-- A tenant's wallet, made with a first credit; a tenant that has one in this currency keeps it unchanged.
CREATE FUNCTION wallet_begin(
    p_wallet uuid, p_tenant uuid, p_subject uuid, p_currency text, p_credit bigint, p_at timestamptz,
    p_ends timestamptz, p_version int
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO wallet (id, tenant_id, currency, posted, held, credit_limit, state)
    VALUES (p_wallet, p_tenant, p_currency, 0, 0, 0, 'active')
    ON CONFLICT (tenant_id, currency) DO NOTHING;
    IF FOUND AND p_credit > 0 THEN
        PERFORM ledger_credit(p_wallet, p_wallet, p_subject, p_credit, 'promotion', 'first:' || p_wallet, p_at, p_ends,
                              p_version);
    END IF;
END $$;

-- The wallet of the tenant that signs up in this transaction. What it starts with is the operator's to say, not the caller's.
CREATE FUNCTION wallet_begin_own(
    p_wallet uuid, p_subject uuid, p_currency text, p_at timestamptz, p_ends timestamptz, p_version int
) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT wallet_begin(p_wallet, current_setting('app.tenant')::uuid, p_subject, p_currency,
                        coalesce((SELECT f.amount FROM first_credit f WHERE f.id = 1), 0), p_at, p_ends, p_version)
$$;

-- Money comes in: two entries that sum to zero, and the balance. The same key again changes nothing and answers false; the
-- same key with another wallet or amount raises unique_violation.
CREATE FUNCTION ledger_credit(
    p_txn uuid, p_wallet uuid, p_subject uuid, p_amount bigint, p_kind text, p_key text, p_at timestamptz,
    p_ends timestamptz, p_version int
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    w wallet;
BEGIN
    IF p_amount <= 0 THEN
        RAISE check_violation USING MESSAGE = 'a credit is more than nothing';
    END IF;
    SELECT * INTO STRICT w FROM wallet WHERE id = p_wallet FOR NO KEY UPDATE;
    INSERT INTO ledger_txn (id, kind, idempotency_key, tenant_id, subject_id, since, ends_at, policy_version)
    VALUES (p_txn, p_kind, p_key, w.tenant_id, p_subject, p_at, p_ends, p_version)
    ON CONFLICT (idempotency_key) DO NOTHING;
    IF NOT FOUND THEN
        IF NOT EXISTS (
            SELECT 1 FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id
            WHERE t.idempotency_key = p_key AND e.account = 'wallet' AND e.wallet_id = p_wallet AND e.amount = p_amount
        ) THEN
            RAISE unique_violation USING MESSAGE = 'this key was used for another wallet or amount';
        END IF;
        RETURN false;
    END IF;
    INSERT INTO ledger_entry (txn_id, account, tenant_id, wallet_id, kind, currency, amount, at)
    VALUES (p_txn, 'wallet', w.tenant_id, p_wallet, p_kind, w.currency, p_amount, p_at),
           (p_txn, p_kind, w.tenant_id, p_wallet, p_kind, w.currency, -p_amount, p_at);
    UPDATE wallet SET posted = posted + p_amount WHERE id = p_wallet;
    RETURN true;
END $$;

-- Charges that end fold into one entry per wallet and month, whoever deletes them, so that the sums stay exact.
CREATE FUNCTION charge_fold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO ledger_entry (txn_id, account, tenant_id, wallet_id, kind, currency, amount, at)
    SELECT md5('fold ' || m.wallet_id || ' ' || m.month)::uuid, side.account, w.tenant_id, m.wallet_id, 'fold', w.currency,
           side.sign * m.amount, m.month AT TIME ZONE 'UTC'
    FROM (SELECT g.wallet_id, date_trunc('month', g.since AT TIME ZONE 'UTC') AS month, sum(g.amount)::bigint AS amount
          FROM gone g GROUP BY 1, 2) m
    JOIN wallet w ON w.id = m.wallet_id
    CROSS JOIN (VALUES ('wallet', -1), ('revenue', 1)) AS side(account, sign)
    ORDER BY 1, 2
    ON CONFLICT (txn_id, account) DO UPDATE SET amount = ledger_entry.amount + excluded.amount;
    RETURN NULL;
END $$;
CREATE TRIGGER charge_fold AFTER DELETE ON charge REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION charge_fold();

-- A person is erased while a request of theirs runs: the hold goes with them and its money is free again.
CREATE FUNCTION hold_released() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE wallet w SET held = w.held - x.amount
    FROM (SELECT g.wallet_id, sum(g.amount)::bigint AS amount FROM gone g GROUP BY 1) x
    WHERE w.id = x.wallet_id;
    PERFORM key_correct(g.key_id, g.counted_at, true, g.tokens_max, g.amount, g.amount) FROM gone g WHERE g.counted_at IS NOT NULL;
    PERFORM shared_correct(g.shared, g.shared_at, true, g.tokens_max, g.amount, g.amount) FROM gone g WHERE g.shared IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_released AFTER DELETE ON wallet_hold REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT WHEN (current_user <> 'avow_owner') EXECUTE FUNCTION hold_released();

CREATE FUNCTION entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.kind = 'fold' AND current_user = 'avow_owner'
       AND to_jsonb(NEW) - 'amount' = to_jsonb(OLD) - 'amount' THEN
        RETURN NEW;
    END IF;
    RAISE check_violation USING MESSAGE = 'a ledger entry is never changed; post another one';
END $$;
CREATE TRIGGER entry_is_final BEFORE UPDATE OR DELETE ON ledger_entry
FOR EACH ROW EXECUTE FUNCTION entry_is_final();

-- A price that staff set at the desk. A row without the platform's signature is no price (`prices.Seal`).
CREATE FUNCTION price_add(
    p_id uuid, p_model text, p_currency text, p_input bigint, p_cached bigint, p_output bigint, p_from timestamptz,
    p_write bigint, p_reasoning bigint, p_image bigint, p_audio bigint, p_counts text, p_sizes jsonb, p_signature bytea
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO price (id, model, currency, input_nano, cached_nano, output_nano, valid_from, cache_write_nano,
                       reasoning_nano, image_nano, audio_nano, counts, sizes, signature)
    VALUES (p_id, p_model, p_currency, p_input, p_cached, p_output, p_from, p_write, p_reasoning, p_image, p_audio,
            p_counts, p_sizes, p_signature);
    UPDATE policy_epoch SET epoch = epoch + 1;
$$;

-- A credit that staff give at the desk to the organisation of the caller's transaction: only for who is staff of billing or
-- operator, with valid training, at that time.
CREATE FUNCTION ledger_grant(
    p_staff uuid, p_txn uuid, p_wallet uuid, p_subject uuid, p_amount bigint, p_kind text, p_key text, p_at timestamptz,
    p_ends timestamptz, p_version int
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM staff s
                   WHERE s.id = p_staff AND s.role IN ('billing', 'operator') AND s.trained_until > p_at)
        OR NOT EXISTS (SELECT FROM wallet w
                       WHERE w.id = p_wallet AND w.tenant_id = current_setting('app.tenant')::uuid) THEN
        RAISE insufficient_privilege USING MESSAGE = 'no credit: who gives it is no staff of billing, or the wallet is another''s';
    END IF;
    RETURN ledger_credit(p_txn, p_wallet, p_subject, p_amount, p_kind, p_key, p_at, p_ends, p_version);
END $$;

GRANT EXECUTE ON FUNCTION ledger_batch, ledger_open, ledger_settle, worker_begin, worker_beat
    TO avow_writer, avow_keeper;
GRANT EXECUTE ON FUNCTION ledger_credit TO avow_keeper;
GRANT EXECUTE ON FUNCTION wallet_begin TO avow_keeper;
GRANT EXECUTE ON FUNCTION wallet_begin_own, price_add, ledger_grant TO avow_app;
