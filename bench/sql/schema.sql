-- The benchmark's database; needs services/sample/sql/prose.sql. Half of it is text, the rest small rows, as in a
-- product's real database; rows stay below the size at which PostgreSQL would compress them by itself.
CREATE TABLE content (
    id bigint GENERATED ALWAYS AS IDENTITY,
    course_id integer NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    meta jsonb NOT NULL,
    tags text[] NOT NULL,
    quality real,
    created_at timestamptz NOT NULL
);
CREATE TABLE quiz_results (
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id bigint NOT NULL,
    content_id bigint NOT NULL,
    score numeric(5, 2) NOT NULL,
    answers smallint[] NOT NULL,
    taken_at timestamptz NOT NULL
);
CREATE TABLE audit_logs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    actor uuid NOT NULL,
    action text NOT NULL,
    address inet NOT NULL,
    detail jsonb NOT NULL
);
