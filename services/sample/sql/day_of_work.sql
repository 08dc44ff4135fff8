-- A day's work in la_factoria, so that two backups of the sample differ: new lessons, corrections, results, log entries.
INSERT INTO educational_content (course_id, author_id, kind, title, body, meta, keywords, quality, cost_usd, created_at, updated_at)
SELECT course_id, author_id, kind, title || ' (revised)', substr(body, length(body) / 3), meta || '{"revised": true}', keywords, quality,
    cost_usd, now(), now()
FROM educational_content WHERE id % 45 = 7 AND NOT meta ? 'revised';
UPDATE educational_content SET published = true WHERE NOT published AND id % 7 = 0 AND id % 5 = 0;
INSERT INTO quiz_results (user_id, content_id, score, answers, took, taken_at)
SELECT user_id, content_id, 100 - score, answers, took, now() FROM quiz_results WHERE id % 97 = 0;
INSERT INTO audit_logs (at, actor_id, action, entity, entity_id)
SELECT now(), user_id, 'quiz.submit', 'quiz', id FROM quiz_results ORDER BY id DESC LIMIT 300;
UPDATE users SET last_seen_from = '10.1.2.3' WHERE id % 50 = 0;
DELETE FROM temp_data WHERE id % 10 = 0;
CALL refresh_scores();
