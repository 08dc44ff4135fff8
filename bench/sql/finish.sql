DROP SCHEMA sample_build, seed CASCADE;
ALTER TABLE content ADD PRIMARY KEY (id);
ALTER TABLE quiz_results ADD PRIMARY KEY (id);
ALTER TABLE audit_logs ADD PRIMARY KEY (id);
CREATE INDEX content_course ON content (course_id, created_at);
CREATE INDEX quiz_results_user ON quiz_results (user_id, taken_at);
CREATE INDEX audit_logs_at ON audit_logs (at);
ANALYZE;
