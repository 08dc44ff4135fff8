"""A small database with one of everything that a backup must carry, for servers of 13 to 18."""

from __future__ import annotations

SOURCE = """
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('calm', 'busy');
CREATE DOMAIN shop.price AS numeric(12, 4) CHECK (VALUE >= 0);
CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, tags text[], meta jsonb,
  mood shop.mood, balance shop.price, seen timestamptz, secret bytea, ratio float8, lasts interval,
  doubled numeric GENERATED ALWAYS AS (balance * 2) STORED
);
INSERT INTO users (name, tags, meta, mood, balance, seen, secret, ratio, lasts)
  SELECT 'user ' || i, ARRAY['a' || i % 3, NULL], jsonb_build_object('n', i, 'x', NULL),
         (ARRAY['calm', 'busy']::shop.mood[])[1 + i % 2], i * 1.50,
         '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 s',
         decode(md5(i::text), 'hex'), i / 7.0, i * interval '1 min'
  FROM generate_series(1, 2000) AS i;
CREATE TABLE shop."Größe ""x"" / 試験" (a int, b text);
INSERT INTO shop."Größe ""x"" / 試験" VALUES (1, E'tab\\tnew\\nline\\\\.'), (NULL, NULL), (1, E'tab\\tnew\\nline\\\\.');
CREATE TABLE events (id int NOT NULL, at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO events SELECT i, '2025-06-01'::date + i % 500, repeat('x', i % 50) FROM generate_series(1, 5000) AS i;
CREATE INDEX ON events (at, id);
CREATE UNLOGGED TABLE temp_data (k int PRIMARY KEY, v json);
INSERT INTO temp_data SELECT i, '{"a": 1}' FROM generate_series(1, 100) AS i;
CREATE TABLE nothing ();
CREATE TABLE empty_one (id serial PRIMARY KEY, user_id bigint REFERENCES users);
CREATE VIEW calm_users AS SELECT id, name FROM users WHERE mood = 'calm';
CREATE MATERIALIZED VIEW per_year AS SELECT extract(year FROM at) AS year, count(*) AS n FROM events GROUP BY 1;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen := now(); RETURN NEW; END $$;
CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
SELECT lo_from_bytea(0, convert_to(repeat('large object ', 1000), 'UTF8'));
COMMENT ON TABLE users IS 'people';
"""
