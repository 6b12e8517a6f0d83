-- What a key may use: requests and tokens per minute, money per day, month and in all. The limits stand in api_key, what is
-- used of them in key_use, which only the ledger writes and only under the lock of the key's wallet. So limits are as exact
-- as the balance, whichever worker asks.
--
-- A request counts in the minute in which the ledger takes it, with the most that it may use, and is corrected when it
-- settles. Windows begin at the UTC minute, day and month. A minute that was once seen is never gone back from: an event
-- with an earlier time counts in it.

-- What is used within the window (`minute`, `day`, `month`) that `p_at` lies in, of a value counted until `p_minute`.
CREATE FUNCTION used_within(p_window text, p_at timestamptz, p_minute timestamptz, p_value bigint) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN date_trunc(p_window, p_at, 'UTC') = date_trunc(p_window, p_minute, 'UTC') THEN p_value ELSE 0 END
$$;

-- Whether a key may use so much more. `reason` (requests, tokens, parallel, day, month, total) is null when it may; then `counted_at` is
-- the minute to count it in. `room` is what would be possible: for rates the seconds until the next minute, for budgets the
-- nano-units that the tightest of them leaves.
CREATE FUNCTION key_room(
    p_key uuid, p_at timestamptz, p_tokens int, p_amount bigint,
    OUT reason text, OUT room bigint, OUT counted_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    k record;
    u record;
    v_day bigint;
    v_month bigint;
BEGIN
    SELECT * INTO k FROM api_key WHERE id = p_key;
    SELECT * INTO u FROM key_use WHERE id = p_key;
    IF NOT FOUND THEN  -- its first request since it has a limit
        INSERT INTO key_use (id, tenant_id, subject_id, since, ends_at, policy_version,
                             minute, requests, tokens, day_nano, month_nano, total_nano, held_nano, running)
        SELECT k.id, k.tenant_id, k.subject_id, p_at, k.ends_at, k.policy_version, date_trunc('minute', p_at, 'UTC'),
               0, 0, 0, 0, 0, 0, 0
        WHERE k.id IS NOT NULL
        RETURNING * INTO u;
    END IF;
    counted_at := greatest(date_trunc('minute', p_at, 'UTC'), u.minute);
    v_day := used_within('day', counted_at, u.minute, u.day_nano);
    v_month := used_within('month', counted_at, u.minute, u.month_nano);
    reason := CASE
        WHEN used_within('minute', counted_at, u.minute, u.requests) + 1 > k.requests_per_min THEN 'requests'
        WHEN used_within('minute', counted_at, u.minute, u.tokens) + p_tokens > k.tokens_per_min THEN 'tokens'
        WHEN u.running + 1 > k.parallel THEN 'parallel'
        WHEN v_day + p_amount > k.budget_day_nano THEN 'day'
        WHEN v_month + p_amount > k.budget_month_nano THEN 'month'
        WHEN u.total_nano + p_amount > k.budget_total_nano THEN 'total'
    END;
    room := CASE
        WHEN reason = 'parallel' THEN 1
        WHEN reason IN ('requests', 'tokens') THEN ceil(extract(epoch FROM counted_at + interval '1 minute' - p_at))
        ELSE greatest(0, least(k.budget_day_nano - v_day, k.budget_month_nano - v_month, k.budget_total_nano - u.total_nano))
    END;
END $$;

-- Count what a hold reserves, in the minute that key_room named.
CREATE FUNCTION key_debit(p_key uuid, p_counted_at timestamptz, p_requests int, p_tokens bigint, p_amount bigint)
RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    UPDATE key_use u SET
        requests = used_within('minute', p_counted_at, u.minute, u.requests) + p_requests,
        tokens = used_within('minute', p_counted_at, u.minute, u.tokens) + p_tokens,
        day_nano = used_within('day', p_counted_at, u.minute, u.day_nano) + p_amount,
        month_nano = used_within('month', p_counted_at, u.minute, u.month_nano) + p_amount,
        total_nano = u.total_nano + p_amount,
        held_nano = u.held_nano + p_amount,
        running = u.running + p_requests,
        minute = p_counted_at
    WHERE u.id = p_key
$$;

-- Correct what a hold reserved to what was used. A window that has ended since needs no correction; a void never was a request.
CREATE FUNCTION key_correct(
    p_key uuid, p_counted_at timestamptz, p_void boolean, p_tokens_back bigint, p_amount bigint, p_back bigint
) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    UPDATE key_use u SET
        requests = u.requests - used_within('minute', u.minute, p_counted_at, p_void::int),
        tokens = u.tokens - used_within('minute', u.minute, p_counted_at, p_tokens_back),
        day_nano = u.day_nano - used_within('day', u.minute, p_counted_at, p_back),
        month_nano = u.month_nano - used_within('month', u.minute, p_counted_at, p_back),
        total_nano = u.total_nano - p_back,
        held_nano = u.held_nano - p_amount,
        running = u.running - 1
    WHERE u.id = p_key
$$;

-- Whether a project, its organisation, and the organisation at this model may use so much more together. As `key_room`;
-- `reason` begins with the allowance's kind, `shared` are the counters to count in, in the minute `shared_at`.
CREATE FUNCTION shared_room(
    p_project uuid, p_tenant uuid, p_model text, p_at timestamptz, p_tokens int, p_amount bigint,
    OUT reason text, OUT room bigint, OUT shared uuid[], OUT shared_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    l record;
BEGIN
    INSERT INTO allowance_use (id, allowance_id, minute, requests, tokens, day_nano, month_nano, total_nano, held_nano, running)
    SELECT use_of(a, p_tenant), a.id, date_trunc('minute', p_at, 'UTC'), 0, 0, 0, 0, 0, 0, 0
    FROM allowance a WHERE a.id = ANY (ARRAY[p_project, p_tenant, md5(p_model)::uuid])
    ON CONFLICT (id) DO NOTHING;
    shared_at := date_trunc('minute', p_at, 'UTC');
    shared := '{}';
    FOR l IN
        SELECT a.*, u.id AS use_id, u.minute, u.requests, u.tokens, u.day_nano, u.month_nano, u.total_nano, u.running
        FROM allowance a JOIN allowance_use u ON u.id = use_of(a, p_tenant)
        WHERE a.id = ANY (ARRAY[p_project, p_tenant, md5(p_model)::uuid]) ORDER BY u.id FOR NO KEY UPDATE OF u
    LOOP
        shared := shared || l.use_id;
        shared_at := greatest(shared_at, l.minute);
        reason := l.kind || ' ' || CASE
            WHEN p_tokens > l.tokens_per_min THEN 'size'
            WHEN used_within('minute', shared_at, l.minute, l.requests) + 1 > l.requests_per_min THEN 'requests'
            WHEN used_within('minute', shared_at, l.minute, l.tokens) + p_tokens > l.tokens_per_min THEN 'tokens'
            WHEN l.running + 1 > l.parallel THEN 'parallel'
            WHEN used_within('day', shared_at, l.minute, l.day_nano) + p_amount > l.budget_day_nano THEN 'day'
            WHEN used_within('month', shared_at, l.minute, l.month_nano) + p_amount > l.budget_month_nano THEN 'month'
            WHEN l.total_nano + p_amount > l.budget_total_nano THEN 'total'
        END;
        IF reason IS NOT NULL THEN
            room := CASE split_part(reason, ' ', 2)
                WHEN 'size' THEN l.tokens_per_min
                WHEN 'parallel' THEN 1
                WHEN 'requests' THEN ceil(extract(epoch FROM shared_at + interval '1 minute' - p_at))
                WHEN 'tokens' THEN ceil(extract(epoch FROM shared_at + interval '1 minute' - p_at))
                ELSE greatest(0, least(
                    l.budget_day_nano - used_within('day', shared_at, l.minute, l.day_nano),
                    l.budget_month_nano - used_within('month', shared_at, l.minute, l.month_nano),
                    l.budget_total_nano - l.total_nano))
            END;
            shared := NULL;
            RETURN;
        END IF;
    END LOOP;
END $$;

-- `key_correct` and `shared_correct` for a batch: the same statement for the counters of keys and for those that are shared, each
-- with tables of its own, so that each is looked up by its index.
DO $make$
DECLARE
    correct text := $sql$
    UPDATE %1$s u SET
        requests = u.requests - x.voids, tokens = u.tokens - x.tokens, day_nano = u.day_nano - x.day,
        month_nano = u.month_nano - x.month, total_nano = u.total_nano - x.back, held_nano = u.held_nano - x.held,
        running = u.running - x.ended
    FROM (
        SELECT v.id, count(*) AS ended, sum(g.held)::bigint AS held, sum(g.back)::bigint AS back,
            sum(used_within('minute', v.minute, g.%2$s, g.voids))::bigint AS voids,
            sum(used_within('minute', v.minute, g.%2$s, g.tokens))::bigint AS tokens,
            sum(used_within('day', v.minute, g.%2$s, g.back))::bigint AS day,
            sum(used_within('month', v.minute, g.%2$s, g.back))::bigint AS month
        FROM unnest(corrections) g %3$s
        GROUP BY v.id
    ) x
    WHERE u.id = ANY (ARRAY[x.id]);$sql$;
BEGIN
    EXECUTE format($sql$
CREATE FUNCTION batch_correct(corrections key_correction[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
BEGIN%s%s
END $body$
$sql$,
        format(correct, 'key_use', 'counted_at', 'JOIN key_use v ON v.id = ANY (ARRAY[g.key_id]) WHERE g.counted_at IS NOT NULL'),
        format(correct, 'allowance_use', 'shared_at',
               'CROSS JOIN LATERAL unnest(g.shared) AS s(id) JOIN allowance_use v ON v.id = ANY (ARRAY[s.id])'));
END $make$;

-- The counter of an allowance for an organisation: its own, but of a model one for each.
CREATE FUNCTION use_of(a allowance, p_tenant uuid) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE WHEN a.kind = 'model' THEN md5(a.id || ' ' || p_tenant)::uuid ELSE a.id END $$;

CREATE FUNCTION shared_debit(p_shared uuid[], p_at timestamptz, p_tokens bigint, p_amount bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE allowance_use u SET
        requests = used_within('minute', p_at, u.minute, u.requests) + 1,
        tokens = used_within('minute', p_at, u.minute, u.tokens) + p_tokens,
        day_nano = used_within('day', p_at, u.minute, u.day_nano) + p_amount,
        month_nano = used_within('month', p_at, u.minute, u.month_nano) + p_amount,
        total_nano = u.total_nano + p_amount,
        held_nano = u.held_nano + p_amount,
        running = u.running + 1,
        minute = p_at
    WHERE u.id = ANY (p_shared)
$$;

CREATE FUNCTION shared_correct(
    p_shared uuid[], p_shared_at timestamptz, p_void boolean, p_tokens_back bigint, p_amount bigint, p_back bigint
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE allowance_use u SET
        requests = u.requests - used_within('minute', u.minute, p_shared_at, p_void::int),
        tokens = u.tokens - used_within('minute', u.minute, p_shared_at, p_tokens_back),
        day_nano = u.day_nano - used_within('day', u.minute, p_shared_at, p_back),
        month_nano = u.month_nano - used_within('month', u.minute, p_shared_at, p_back),
        total_nano = u.total_nano - p_back,
        held_nano = u.held_nano - p_amount,
        running = u.running - 1
    WHERE u.id = ANY (p_shared)
$$;

-- What is left of the tightest rates that a request falls under: requests per minute and how many are left, tokens per minute
-- and how many are left; null where there is no such rate.
CREATE FUNCTION open_rates(p_key uuid, p_project uuid, p_tenant uuid, p_model text, p_at timestamptz) RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH rate AS (
        SELECT k.requests_per_min, k.tokens_per_min, u.minute, u.requests, u.tokens
        FROM api_key k LEFT JOIN key_use u ON u.id = k.id WHERE k.id = p_key
        UNION ALL
        SELECT a.requests_per_min, a.tokens_per_min, u.minute, u.requests, u.tokens
        FROM allowance a LEFT JOIN allowance_use u ON u.id = use_of(a, p_tenant)
        WHERE a.id = ANY (ARRAY[p_project, p_tenant, md5(p_model)::uuid])
    ), used AS (
        SELECT requests_per_min, tokens_per_min,
            greatest(0, requests_per_min - coalesce(used_within('minute', greatest(date_trunc('minute', p_at, 'UTC'), minute), minute, requests), 0)) AS requests_left,
            greatest(0, tokens_per_min - coalesce(used_within('minute', greatest(date_trunc('minute', p_at, 'UTC'), minute), minute, tokens), 0)) AS tokens_left
        FROM rate
    )
    SELECT ARRAY[r.requests_per_min, r.requests_left, t.tokens_per_min, t.tokens_left]
    FROM (SELECT 1) one
    LEFT JOIN (SELECT requests_per_min, requests_left FROM used WHERE requests_per_min IS NOT NULL
               ORDER BY requests_left, requests_per_min LIMIT 1) r ON true
    LEFT JOIN (SELECT tokens_per_min, tokens_left FROM used WHERE tokens_per_min IS NOT NULL
               ORDER BY tokens_left, tokens_per_min LIMIT 1) t ON true
$$;

-- What keeps a key from the smallest request, if anything; nothing is reserved or counted. As `key_room`, with the reasons of
-- a wallet (money, wallet) before it.
CREATE FUNCTION key_means(p_key uuid, p_at timestamptz, OUT reason text, OUT room bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_free bigint;
    v_state text;
BEGIN
    room := 0;
    SELECT w.posted + w.credit_limit - w.held, w.state INTO v_free, v_state
    FROM api_key k JOIN wallet w ON w.id = k.wallet_id AND w.tenant_id = k.tenant_id WHERE k.id = p_key;
    IF v_state IS DISTINCT FROM 'active' THEN
        reason := 'wallet';
    ELSIF v_free <= 0 THEN
        reason := 'money';
    ELSIF EXISTS (SELECT 1 FROM key_use u WHERE u.id = p_key) THEN
        SELECT r.reason, r.room INTO reason, room FROM key_room(p_key, p_at, 1, 1) r;
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION key_means TO avow_app;
