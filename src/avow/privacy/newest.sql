-- Notes the key of a row that was made, changed or taken away, in the transaction that does it; `memory` writes down what it
-- is now. A key that changes is two: the old one is gone. Arguments: the columns of the key.
CREATE FUNCTION newest_note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    was jsonb; is_now jsonb;
BEGIN
    SELECT jsonb_object_agg(name, to_jsonb(OLD) -> name), jsonb_object_agg(name, to_jsonb(NEW) -> name)
      INTO was, is_now FROM unnest(TG_ARGV) AS name;
    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR was <> is_now) THEN
        INSERT INTO newest_noted (of_table, key) VALUES (TG_TABLE_NAME, was);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO newest_noted (of_table, key) VALUES (TG_TABLE_NAME, is_now);
    END IF;
    RETURN NULL;
END $$;
