-- The seed once more, under new ids. Repeats lie some 200 MB apart and zstd -3 looks back 2 MB, so that it sees no repeat.
INSERT INTO content (course_id, title, body, meta, tags, quality, created_at)
SELECT course_id, title, body, meta, tags, quality, created_at FROM seed.content;
INSERT INTO quiz_results (user_id, content_id, score, answers, taken_at)
SELECT user_id, content_id, score, answers, taken_at FROM seed.quiz_results;
INSERT INTO audit_logs (at, actor, action, address, detail)
SELECT at, actor, action, address, detail FROM seed.audit_logs;
