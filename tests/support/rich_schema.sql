-- A database with one of nearly everything that a backup must bring back.
CREATE SCHEMA "Odd ""Schema""";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE money_pair AS (amount numeric(10,2), currency char(3));
CREATE TYPE float_range AS RANGE (subtype = float8);
CREATE DOMAIN email AS text NOT NULL DEFAULT 'nobody@example.org' CHECK (VALUE LIKE '%@%') CHECK (VALUE IN ('x@y', 'nobody@example.org') OR length(VALUE) > 3);
CREATE DOMAIN short_email AS email CHECK (length(VALUE) < 80);
CREATE COLLATION german (provider = libc, locale = 'C');

CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name varchar(80) NOT NULL,
  role varchar(10) DEFAULT 'user' CHECK (role IN ('user', 'admin', 'editor')),
  mail email, short short_email, mood mood DEFAULT 'ok',
  born date, age_limit interval DEFAULT '18 years', wealth numeric(12,4),
  created timestamptz(3) NOT NULL DEFAULT now(), local timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
  upper_name text GENERATED ALWAYS AS (upper((name)::text)) STORED,
  tags text[] DEFAULT '{}'::text[], moods mood[], doc jsonb DEFAULT '{}', raw json,
  CONSTRAINT sane CHECK (wealth IS NULL OR wealth BETWEEN 0 AND 1e9),
  UNIQUE (name, role)
);
CREATE INDEX users_mail_lower ON users (lower((mail)::text)) WHERE role IN ('user', 'admin');
CREATE INDEX users_doc ON users USING gin (doc jsonb_path_ops);
CREATE INDEX users_desc ON users (created DESC NULLS LAST) INCLUDE (name);
INSERT INTO users (name, role, mail, short, mood, born, wealth, tags, moods, doc, raw)
  SELECT 'user ' || i, (ARRAY['user','admin','editor'])[1 + i % 3], 'u' || i || '@example.org', 'u' || i || '@e',
         (ARRAY['sad','ok','happy'])[1 + i % 3]::mood, date '2000-01-01' + i, i * 1.25, ARRAY['a', 'b' || i],
         ARRAY['sad','happy']::mood[], jsonb_build_object('i', i, 'nested', jsonb_build_array(1, null, 'ü')),
         '{"a":  1}' FROM generate_series(1, 500) i;

CREATE TABLE orders (id serial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  price money_pair, during tstzrange, span float_range,
  EXCLUDE USING gist (during WITH &&));
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders FOR SELECT USING (user_id = 1 AND (price).currency IN ('EUR', 'USD'));
INSERT INTO orders (user_id, price, during, span) SELECT 1 + i % 500, ROW(i, 'EUR')::money_pair,
  tstzrange(timestamptz '2020-01-01 UTC' + i * interval '1 day', timestamptz '2020-01-01 UTC' + i * interval '1 day' + interval '1 hour'),
  float_range(i, i + 0.5) FROM generate_series(1, 300) i;

CREATE TABLE events (id bigint, at timestamptz NOT NULL, kind text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2027-01-01 00:00+00') PARTITION BY HASH (id);
CREATE TABLE events_2026_0 PARTITION OF events_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_2026_1 PARTITION OF events_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT i, timestamptz '2025-06-01 UTC' + i * interval '1 day', 'k' || i % 7 FROM generate_series(1, 900) i;
CREATE INDEX events_kind ON events (kind);
CREATE TABLE event_notes (event_id bigint, at timestamptz, note text, FOREIGN KEY (event_id, at) REFERENCES events);
INSERT INTO event_notes SELECT id, at, 'note' FROM events LIMIT 20;

CREATE TABLE parent (a int, b text);
CREATE TABLE child (c int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 3);
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v bytea); INSERT INTO cache VALUES ('a', '\x00ff');
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE "Odd ""Schema"""."tab le ünïcödé; DROP" ("a ""b" int, "ç" text COLLATE "C"); INSERT INTO "Odd ""Schema"""."tab le ünïcödé; DROP" VALUES (1, 'x');
CREATE TABLE "%s and {braces}" (a int); INSERT INTO "%s and {braces}" VALUES (1);
CREATE TABLE gone (a int, b int, c text); ALTER TABLE gone DROP COLUMN b; INSERT INTO gone VALUES (1, 'z');
ALTER TABLE gone ADD COLUMN later text DEFAULT 'later';
CREATE TABLE refs (r regclass, p regproc, o oid, sn name, ch "char"); INSERT INTO refs VALUES ('users', 'now', 42, 'n', 'c');

CREATE VIEW active AS SELECT u.id, u.name, u.role, extract(year FROM u.born) AS year, substring(u.name FROM 1 FOR 3) AS s,
  u.created AT TIME ZONE 'Europe/Berlin' AS berlin FROM users u WHERE u.role IN ('admin', 'editor') AND u.wealth > 10.5;
CREATE VIEW joined WITH (security_barrier) AS SELECT a.id, a.year, count(*) AS n, sum((o.price).amount) AS total FROM active a
  LEFT JOIN orders o ON o.user_id = a.id GROUP BY a.id, a.year HAVING count(*) > 0 ORDER BY 3 DESC;
CREATE VIEW recursive_one AS WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5)
  SELECT n, (SELECT max(x.id) FROM users x WHERE x.id <= t.n) AS m FROM t;
CREATE VIEW windowed AS SELECT id, row_number() OVER w AS rn, CASE WHEN id % 2 = 0 THEN 'even'::varchar(4) ELSE 'odd' END AS par,
  lag(name, 1, 'none'::varchar) OVER w FROM users WINDOW w AS (PARTITION BY role ORDER BY id);
CREATE MATERIALIZED VIEW totals AS SELECT role, count(*) AS n FROM users GROUP BY role;
CREATE UNIQUE INDEX totals_role ON totals (role);
CREATE MATERIALIZED VIEW empty_one AS SELECT 1 AS a WITH NO DATA;

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := trim(NEW.name); RETURN NEW; END $$;
CREATE FUNCTION addup(a int, b int DEFAULT 3, OUT c int) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public AS 'SELECT a + b';
CREATE PROCEDURE noop(x text DEFAULT 'a'::varchar) LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF name ON users FOR EACH ROW WHEN (NEW.role IN ('user', 'admin')) EXECUTE FUNCTION touch();
CREATE TRIGGER part BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE users DISABLE TRIGGER touch;
CREATE RULE quiet AS ON DELETE TO parent WHERE old.a > 5 DO INSTEAD NOTHING;
CREATE STATISTICS st (dependencies) ON name, role FROM users;
CREATE SEQUENCE free_seq AS int START 10 INCREMENT 5 MAXVALUE 1000 CYCLE; SELECT nextval('free_seq');
CREATE SEQUENCE untouched;
CREATE EXTENSION IF NOT EXISTS plpgsql;
ALTER TABLE events_2025 DISABLE TRIGGER part;
ALTER TABLE events_2026_1 ENABLE ALWAYS TRIGGER part;
CREATE PUBLICATION some_changes FOR TABLE users WITH (publish = 'insert, delete', publish_via_partition_root = true);
COMMENT ON TABLE users IS 'people''s rows';
COMMENT ON COLUMN users.name IS E'two\nlines, Größe, \\';
COMMENT ON TABLE events_2026 IS 'of one year';
COMMENT ON COLUMN events_2026_0.kind IS 'of a partition';
COMMENT ON COLUMN events.at IS 'of the parent';
COMMENT ON FUNCTION touch() IS 'a function';
COMMENT ON PROCEDURE noop(text) IS 'a procedure';
COMMENT ON AGGREGATE total(int) IS 'an aggregate';
SELECT lo_from_bytea(4711, convert_to(repeat('large object ', 5000), 'UTF8')); SELECT lo_from_bytea(4712, '\x');
SELECT lo_put(4711, 200000, '\x0102');
