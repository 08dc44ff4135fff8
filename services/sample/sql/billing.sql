-- The sample's second database: invoices and payments of the same company. Run with the setting sample.today (a date).
CREATE TYPE invoice_state AS ENUM ('draft', 'sent', 'paid', 'overdue', 'void');
CREATE DOMAIN euro AS numeric(12, 2);

CREATE TABLE customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    vat_number text UNIQUE,
    country char(2) NOT NULL,
    address jsonb NOT NULL
);
CREATE TABLE invoices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number text NOT NULL UNIQUE,
    customer_id integer NOT NULL REFERENCES customers,
    state invoice_state NOT NULL,
    issued_on date NOT NULL,
    due_on date NOT NULL,
    net euro NOT NULL,
    vat_rate numeric(4, 2) NOT NULL DEFAULT 21,
    gross euro GENERATED ALWAYS AS (round(net * (1 + vat_rate / 100), 2)) STORED,
    CONSTRAINT due_after_issue CHECK (due_on >= issued_on)
);
CREATE TABLE invoice_lines (
    invoice_id bigint NOT NULL REFERENCES invoices ON DELETE CASCADE,
    line smallint NOT NULL,
    description text NOT NULL,
    quantity numeric(8, 2) NOT NULL CHECK (quantity > 0),
    unit_price euro NOT NULL,
    PRIMARY KEY (invoice_id, line)
);
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    invoice_id bigint NOT NULL REFERENCES invoices,
    amount euro NOT NULL,
    method text NOT NULL CHECK (method IN ('card', 'transfer', 'direct debit')),
    received_at timestamptz NOT NULL
);

INSERT INTO customers (name, vat_number, country, address)
SELECT 'Customer ' || i, 'VAT' || 10000000 + (hashint4(i) & 8388607) || '-' || i, (ARRAY['ES', 'MX', 'DE', 'GB'])[1 + i % 4],
    jsonb_build_object('street', 'Calle ' || i % 90, 'city', (ARRAY['Madrid', 'Puebla', 'Köln', 'Leeds'])[1 + i % 4])
FROM generate_series(1, 400) AS i;

INSERT INTO invoices (number, customer_id, state, issued_on, due_on, net)
SELECT 'F-' || lpad(i::text, 6, '0'), 1 + (hashint4(i) & 8388607) % 400,
    CASE WHEN i > 5900 THEN 'sent' WHEN i % 40 = 0 THEN 'void' WHEN i % 23 = 0 THEN 'overdue' ELSE 'paid' END::invoice_state,
    current_setting('sample.today')::date - (6000 - i) / 8, current_setting('sample.today')::date - (6000 - i) / 8 + 30,
    (1900 + (hashint4(i * 7) & 65535)) / 10.0
FROM generate_series(1, 6000) AS i;

INSERT INTO invoice_lines
SELECT i, line, (ARRAY['Seats', 'Generated lessons', 'Storage', 'Support hours'])[1 + (i + line) % 4] || ', month ' || i / 500,
    1 + (hashint4((i * 5 + line)::integer) & 31), (100 + (hashint4((i + line)::integer) & 2047)) / 10.0
FROM generate_series(1::bigint, 6000) AS i, generate_series(1, 3) AS line;

INSERT INTO payments
SELECT md5('payment' || id)::uuid, id, gross, (ARRAY['card', 'transfer', 'direct debit'])[1 + id % 3], issued_on + interval '1 hour' * (id % 600)
FROM invoices WHERE state = 'paid';

CREATE INDEX invoices_open ON invoices (due_on) WHERE state IN ('sent', 'overdue');
CREATE INDEX invoices_customer ON invoices (customer_id, issued_on DESC);
CREATE VIEW open_balance AS SELECT customer_id, sum(gross) AS owed FROM invoices WHERE state IN ('sent', 'overdue') GROUP BY customer_id;
COMMENT ON TABLE invoices IS 'Numbers have no gaps: the law asks for it';
