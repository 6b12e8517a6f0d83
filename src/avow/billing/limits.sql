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

-- Whether a key may use so much more. `reason` (requests, tokens, day, month, total) is null when it may; then `counted_at` is
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
                             minute, requests, tokens, day_nano, month_nano, total_nano, held_nano)
        SELECT k.id, k.tenant_id, k.subject_id, p_at, k.ends_at, k.policy_version, date_trunc('minute', p_at, 'UTC'),
               0, 0, 0, 0, 0, 0
        WHERE k.id IS NOT NULL
        RETURNING * INTO u;
    END IF;
    counted_at := greatest(date_trunc('minute', p_at, 'UTC'), u.minute);
    v_day := used_within('day', counted_at, u.minute, u.day_nano);
    v_month := used_within('month', counted_at, u.minute, u.month_nano);
    reason := CASE
        WHEN used_within('minute', counted_at, u.minute, u.requests) + 1 > k.requests_per_min THEN 'requests'
        WHEN used_within('minute', counted_at, u.minute, u.tokens) + p_tokens > k.tokens_per_min THEN 'tokens'
        WHEN v_day + p_amount > k.budget_day_nano THEN 'day'
        WHEN v_month + p_amount > k.budget_month_nano THEN 'month'
        WHEN u.total_nano + p_amount > k.budget_total_nano THEN 'total'
    END;
    room := CASE
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
        held_nano = u.held_nano - p_amount
    WHERE u.id = p_key
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
