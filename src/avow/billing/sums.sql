-- What improving, trends, research and development may read: sums over many organisations, and no row of anybody.
--
-- For each of these purposes a schema. Its view `usage` holds the rows that may be used for the purpose: the policy's rule lists
-- it (`purpose_rule`), the row has not ended, the organisation is a customer's, and its person has neither objected, nor had
-- the use restricted, nor, where it rests on consent, withheld it; where the row is the organisation's, nobody in it. No role reads it. `usage_by_day` sums it over groups of at
-- least ten organisations; this the role `avow_analyst` may read, and nothing else but the table `usage_sum`.
--
-- `app.at` is the moment at which all of this is asked; unset, a query is an error.

DO $$ DECLARE wanted text; place text; BEGIN
  FOREACH wanted IN ARRAY ARRAY['improve', 'analytics', 'research', 'develop'] LOOP
    place := 'for_' || wanted;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', place);
    EXECUTE format('CREATE SCHEMA %I', place);
    EXECUTE format($view$
      CREATE VIEW %1$I.standing AS
      SELECT DISTINCT ON (subject_id, kind) tenant_id, subject_id, kind, value FROM public.standing
      WHERE (kind = 'restriction' OR purpose = %2$L)
        AND (ends_at IS NULL OR ends_at > current_setting('app.at')::timestamptz)
      ORDER BY subject_id, kind, since DESC, id DESC
    $view$, place, wanted);
    EXECUTE format($view$
      CREATE VIEW %1$I.usage AS
      SELECT u.tenant_id, u.since, u.model, u.why, u.input_tokens, u.output_tokens, u.latency_ms
      FROM public.usage u
      JOIN public.purpose_rule r ON r.category = 'usage' AND r.purpose = %2$L
      JOIN public.tenant_kind k ON k.tenant_id = u.tenant_id AND k.kind = 'customer'
      WHERE (u.ends_at IS NULL OR u.ends_at > current_setting('app.at')::timestamptz)
        AND NOT EXISTS (SELECT FROM %1$I.standing s
                        WHERE s.subject_id = u.subject_id AND s.value AND s.kind IN ('restriction', 'objection'))
        AND NOT EXISTS (SELECT FROM %1$I.standing s
                        WHERE u.subject_id = u.tenant_id AND s.tenant_id = u.tenant_id
                          AND s.value AND s.kind IN ('restriction', 'objection'))
        AND (NOT r.consent OR (
          EXISTS (SELECT FROM %1$I.standing s
                  WHERE (s.subject_id = u.subject_id OR (u.subject_id = u.tenant_id AND s.tenant_id = u.tenant_id))
                    AND s.value AND s.kind = 'consent')
          AND NOT EXISTS (SELECT FROM public.person p
                          WHERE u.subject_id = u.tenant_id AND p.tenant_id = u.tenant_id AND p.role <> 'former'
                            AND NOT EXISTS (SELECT FROM %1$I.standing s
                                            WHERE s.subject_id = p.id AND s.value AND s.kind = 'consent'))))
    $view$, place, wanted);
    EXECUTE format($view$
      CREATE VIEW %1$I.usage_by_day AS
      SELECT (since AT TIME ZONE 'UTC')::date AS day, model, why, count(DISTINCT tenant_id)::int AS organisations,
        count(*) AS calls, sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
        sum(latency_ms)::bigint AS latency_ms
      FROM %1$I.usage GROUP BY 1, 2, 3 HAVING count(DISTINCT tenant_id) >= 10
    $view$, place);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO avow_analyst, avow_keeper', place);
    EXECUTE format('GRANT SELECT ON %I.usage_by_day TO avow_analyst, avow_keeper', place);
  END LOOP;
END $$;
