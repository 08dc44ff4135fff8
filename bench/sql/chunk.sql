-- One chunk (some 32 MB with its indexes, 23 MB in a dump), from row number %(first)s on:
-- 10,000 pieces of content of some 1.2 kB, 60,000 results, 40,000 log rows.
INSERT INTO content (course_id, title, body, meta, tags, quality, created_at)
SELECT i %% 5000, initcap(sample_build.word(i)) || ' ' || i, sample_build.prose(i * 16, 10 + (i %% 6)::integer),
    jsonb_build_object('prompt', md5(i::text), 'tokens', 800 + hashint8(i) & 4095, 'kind', 'study_guide'),
    ARRAY[sample_build.word(i * 3), sample_build.word(i * 5)], (hashint8(i) & 1023) / 1023.0,
    timestamptz '2024-01-01 00:00:00Z' + interval '1 second' * (hashint8(i) & 67108863)
FROM generate_series(%(first)s::bigint, %(first)s + 9999) AS i;
INSERT INTO quiz_results (user_id, content_id, score, answers, taken_at)
SELECT hashint8(i) & 65535, hashint8(i * 7) & 1048575, (hashint8(i * 3) & 8191) / 81.91,
    ARRAY[i %% 4, i / 4 %% 4, i / 16 %% 4, hashint8(i) & 3]::smallint[], timestamptz '2024-01-01 00:00:00Z' + interval '7 seconds' * i
FROM generate_series(%(first)s::bigint * 6, %(first)s * 6 + 59999) AS i;
INSERT INTO audit_logs (at, actor, action, address, detail)
SELECT timestamptz '2024-01-01 00:00:00Z' + interval '5 seconds' * i, md5((hashint8(i) & 65535)::text)::uuid,
    (ARRAY['content.create', 'content.update', 'user.login', 'quiz.submit', 'export.pdf'])[1 + (hashint8(i) & 1023) %% 5],
    ('10.' || (hashint8(i) >> 8 & 255) || '.' || (i & 255) || '.7')::inet,
    jsonb_build_object('request', md5(i::text), 'ms', hashint8(i + 1) & 1023)
FROM generate_series(%(first)s::bigint * 4, %(first)s * 4 + 39999) AS i;
