-- What must always be true of money. One statement, so one snapshot: it may run beside any load.

-- The same arithmetic as prices.cost, written a second time so that one checks the other.
CREATE FUNCTION token_cost(p price, u usage) RETURNS numeric
LANGUAGE sql IMMUTABLE
AS $$
    SELECT ceil((
        (u.input_tokens - cached - written) * p.input_nano::numeric + cached * p.cached_nano::numeric
        + written * coalesce(p.cache_write_nano, p.input_nano)::numeric
        + (u.output_tokens - reasoning) * p.output_nano::numeric
        + reasoning * coalesce(p.reasoning_nano, p.output_nano)::numeric
        + u.image_tokens * coalesce(p.image_nano, greatest(p.input_nano, p.output_nano))::numeric
        + u.audio_tokens * coalesce(p.audio_nano, greatest(p.input_nano, p.output_nano))::numeric
    ) / 1000000)
    FROM (SELECT least(u.cached_tokens, u.input_tokens)::bigint AS cached,
                 least(u.reasoning_tokens, u.output_tokens)::bigint AS reasoning) parts
    CROSS JOIN LATERAL (SELECT least(u.cache_write_tokens, u.input_tokens - cached)::bigint AS written) w
$$;

-- What must always be true of the counters.
CREATE FUNCTION limit_violations()
RETURNS TABLE (invariant text, id uuid, found numeric, wanted numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH promised AS (
        SELECT h.key_id, sum(h.amount) AS amount, count(*) AS count FROM wallet_hold h WHERE h.counted_at IS NOT NULL GROUP BY 1
    ), spent AS (
        SELECT u.id, sum(c.amount) AS amount
        FROM key_use u JOIN usage g ON g.key_id = u.id AND g.since > u.since + interval '5 minutes' JOIN charge c ON c.id = g.id
        GROUP BY 1
    )
    SELECT 'I15 a key holds the sum of its holds', u.id, u.held_nano, coalesce(p.amount, 0)
    FROM key_use u LEFT JOIN promised p ON p.key_id = u.id WHERE u.held_nano <> coalesce(p.amount, 0)
    UNION ALL
    SELECT 'I16 0 <= day <= month <= total', u.id, u.day_nano, u.total_nano
    FROM key_use u
    WHERE NOT (0 <= u.day_nano AND u.day_nano <= u.month_nano AND u.month_nano <= u.total_nano AND u.held_nano <= u.total_nano
               AND u.requests >= 0 AND u.tokens >= 0)
    UNION ALL
    SELECT 'I18 what runs together is counted', u.id, u.running, coalesce(p.count, 0)
    FROM key_use u LEFT JOIN promised p ON p.key_id = u.id WHERE u.running <> coalesce(p.count, 0)
    UNION ALL
    SELECT 'I18 what runs together is counted', u.id, u.running, count(h.id)
    FROM allowance_use u LEFT JOIN wallet_hold h ON u.id = ANY (h.shared) GROUP BY u.id HAVING u.running <> count(h.id)
    UNION ALL
    SELECT 'I15 an allowance holds the sum of its holds', u.id, u.held_nano, coalesce(sum(h.amount), 0)
    FROM allowance_use u LEFT JOIN wallet_hold h ON u.id = ANY (h.shared) GROUP BY u.id
    HAVING u.held_nano <> coalesce(sum(h.amount), 0)
    UNION ALL
    SELECT 'I16 0 <= day <= month <= total', u.id, u.day_nano, u.total_nano
    FROM allowance_use u
    WHERE NOT (0 <= u.day_nano AND u.day_nano <= u.month_nano AND u.month_nano <= u.total_nano AND u.held_nano <= u.total_nano
               AND u.requests >= 0 AND u.tokens >= 0)
    UNION ALL
    -- Usage ends earlier than a key; whatever of it is left was counted. The minutes leave out what was under way before.
    SELECT 'I17 no charge of a limited key is uncounted', u.id, u.total_nano - u.held_nano, s.amount
    FROM key_use u JOIN spent s ON s.id = u.id WHERE u.total_nano - u.held_nano < s.amount
$$;

-- Every violation: the invariant, the row it was found at, what stands there and what should.
CREATE FUNCTION ledger_violations(p_at timestamptz)
RETURNS TABLE (invariant text, id uuid, found numeric, wanted numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH came AS (SELECT e.wallet_id, sum(e.amount) AS amount FROM ledger_entry e WHERE e.account = 'wallet' GROUP BY 1),
    spent AS (SELECT c.wallet_id, sum(c.amount) AS amount FROM charge c GROUP BY 1),
    promised AS (SELECT h.wallet_id, sum(h.amount) AS amount FROM wallet_hold h GROUP BY 1)

    SELECT 'I1 balance = money in - charges', w.id, w.posted, coalesce(came.amount, 0) - coalesce(spent.amount, 0)
    FROM wallet w LEFT JOIN came ON came.wallet_id = w.id LEFT JOIN spent ON spent.wallet_id = w.id
    WHERE w.posted <> coalesce(came.amount, 0) - coalesce(spent.amount, 0)
    UNION ALL
    SELECT 'I1 no money outside a wallet', x.wallet_id, x.amount, 0
    FROM (SELECT * FROM came UNION ALL SELECT * FROM spent UNION ALL SELECT * FROM promised) x
    WHERE NOT EXISTS (SELECT 1 FROM wallet w WHERE w.id = x.wallet_id)
    UNION ALL
    SELECT 'I2 held = sum of holds', w.id, w.held, coalesce(promised.amount, 0)
    FROM wallet w LEFT JOIN promised ON promised.wallet_id = w.id
    WHERE w.held <> coalesce(promised.amount, 0)
    UNION ALL
    SELECT 'I3 balance + credit >= held >= 0', w.id, w.held, w.posted + w.credit_limit
    FROM wallet w WHERE w.held < 0 OR w.posted + w.credit_limit < w.held
    UNION ALL
    SELECT 'I4 held or charged, never both', h.id, h.amount, c.amount
    FROM wallet_hold h JOIN charge c ON c.id = h.id
    UNION ALL
    SELECT 'I6 0 <= charge <= hold', c.id, c.amount, c.held
    FROM charge c WHERE c.amount < 0 OR c.amount > c.held OR c.absorbed < 0
    UNION ALL
    SELECT 'I7 charge = price of its tokens', c.id, c.amount, least(c.held, token_cost(p, u))
    FROM charge c JOIN usage u ON u.id = c.id JOIN price p ON p.id = c.price_id
    WHERE c.amount <> least(c.held, token_cost(p, u))
      AND (u.why = 'done' OR c.amount <> 0)
    UNION ALL
    SELECT 'I7 charge has a price', c.id, c.amount, NULL
    FROM charge c WHERE c.amount > 0 AND NOT EXISTS (SELECT 1 FROM price p WHERE p.id = c.price_id)
    UNION ALL
    SELECT 'I8 entries sum to zero', e.txn_id, sum(e.amount), 0
    FROM ledger_entry e GROUP BY e.txn_id, e.currency HAVING sum(e.amount) <> 0
    UNION ALL
    -- What people wrote off as ended may be gone from ledger_txn; what is there has its two entries, whose key is unique.
    SELECT 'I10 a credit is entered once', t.id, count(e.txn_id), 2
    FROM ledger_txn t LEFT JOIN ledger_entry e ON e.txn_id = t.id GROUP BY t.id HAVING count(e.txn_id) <> 2
    UNION ALL
    SELECT 'I11 no more is given back than was paid', e.wallet_id, -sum(e.amount) FILTER (WHERE e.kind = 'refund'),
           coalesce(sum(e.amount) FILTER (WHERE e.kind = 'payment'), 0)
    FROM ledger_entry e WHERE e.account = 'wallet' AND e.kind IN ('payment', 'refund') GROUP BY e.wallet_id
    HAVING sum(e.amount) < 0
    UNION ALL
    SELECT 'I12 no hold outlives its request', h.id, h.amount, 0
    FROM wallet_hold h WHERE h.expires_at < p_at - interval '60 seconds'
    UNION ALL
    SELECT 'I14 one key, one request, its charge', c.id, c.charged, p.amount
    FROM claim c JOIN charge p ON p.id = c.request_id WHERE c.charged <> p.amount
    UNION ALL
    SELECT 'I14 one key, one request, its charge', max(c.id::text)::uuid, count(*), 1
    FROM claim c GROUP BY c.request_id HAVING count(*) > 1
    UNION ALL
    SELECT l.* FROM limit_violations() l
$$;

-- I13: what upstreams charged beyond the holds of the last day, which is ours to bear, and what was charged in it, by model.
CREATE FUNCTION ledger_absorbed(p_at timestamptz)
RETURNS TABLE (model text, absorbed numeric, charged numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.model, sum(c.absorbed), sum(c.amount)
    FROM charge c JOIN price p ON p.id = c.price_id WHERE c.since > p_at - interval '1 day' GROUP BY 1 ORDER BY 2 DESC, 1
$$;

-- I5: of the settles that were told as charged, those that the ledger does not have with that amount.
CREATE FUNCTION ledger_missing(p_id uuid[], p_amount bigint[])
RETURNS TABLE (invariant text, id uuid, found numeric, wanted numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT 'I5 what was told is there', t.id, c.amount, t.amount
    FROM unnest(p_id, p_amount) AS t(id, amount) LEFT JOIN charge c ON c.id = t.id
    WHERE c.amount IS DISTINCT FROM t.amount
$$;

GRANT EXECUTE ON FUNCTION ledger_violations, limit_violations, ledger_missing, ledger_absorbed, token_cost TO avow_keeper;
