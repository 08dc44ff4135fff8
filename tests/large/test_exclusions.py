"""Backups without the rows of some tables: previewed, restored and compared; and what is refused beforehand."""

from __future__ import annotations

import pytest

from services import commands
from services.backups.exclusions import preview_excluded
from services.backups.request import BackupRequest
from services.errors import BackupsError, InputError, NothingMatches
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.exclusions import Exclusions
from services.preflight import preflight
from tests.large.conftest import NewLab, back_up
from tests.restores.lab import report_of

LOGS = """
CREATE TABLE users (id serial PRIMARY KEY, name text);
INSERT INTO users (name) SELECT 'user ' || i FROM generate_series(1, 100) i;
CREATE TABLE audit_logs (id bigserial PRIMARY KEY, of_user int REFERENCES users, what text);
INSERT INTO audit_logs (of_user, what) SELECT i % 100 + 1, repeat('x', 100) FROM generate_series(1, 2000) i;
CREATE TABLE audit_notes (log bigint REFERENCES audit_logs, text text);
INSERT INTO audit_notes SELECT i, 'seen' FROM generate_series(1, 30) i;
CREATE TABLE seen (log bigint REFERENCES audit_logs);
INSERT INTO seen SELECT i FROM generate_series(1, 30) i;
CREATE TABLE hits (at date) PARTITION BY RANGE (at);
CREATE TABLE hits_old PARTITION OF hits FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE hits_new PARTITION OF hits FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');
INSERT INTO hits VALUES ('2024-05-05'), ('2026-05-05');
"""


@pytest.mark.parametrize("jobs", [1, 2], ids=["stream", "parallel"])
def test_a_backup_without_rows_restores_equal_and_is_partial(new_lab: NewLab, jobs: int) -> None:
    lab = new_lab(LOGS)
    backup = back_up(lab, jobs=jobs, exclude_table_data=("audit_logs", "hits"))
    assert backup.excluded == ("data of audit_logs", "data of hits")
    assert (backup.is_partial, backup.is_good) == (True, False)
    assert lab.verify(backup, "archive").outcome == "passed"
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "passed", verification.reason
    report = report_of(verification)
    assert report.comparison is not None
    rows = {table.label: table.actual_rows for table in report.comparison.tables}
    assert rows == {
        "public.audit_logs": 0, "public.audit_notes": 30, "public.hits_new": 0, "public.hits_old": 0,
        "public.seen": 30, "public.users": 100,
    }  # fmt: skip
    # The rows that these keys point to are not there.
    assert {o.name for o in report.comparison.objects} == {
        "audit_notes_log_fkey on public.audit_notes", "seen_log_fkey on public.seen",
    }  # fmt: skip
    assert lab.installation.catalog.backups.latest_good("la_factoria") is None


def test_keys_between_two_tables_without_rows_stay_and_tables_may_go_altogether(new_lab: NewLab) -> None:
    lab = new_lab(LOGS)
    backup = back_up(lab, exclude_tables=("seen",), exclude_table_data=("audit_*",))
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "passed", verification.reason
    report = report_of(verification)
    assert report.comparison is not None
    assert report.comparison.objects == ()


def test_the_preview_names_the_tables_and_their_bytes(new_lab: NewLab) -> None:
    lab = new_lab(LOGS)
    database = lab.installation.settings.databases[0]
    found = preview_excluded(database, Exclusions(("users",), ("audit_*", "hits")))
    assert (found.listed[0].label, found.listed[0].what) == ("public.audit_logs", "data")
    assert {each.label for each in found.listed if each.what == "table"} == {"public.users"}
    assert found.data == (
        ("public", "audit_logs"), ("public", "audit_notes"), ("public", "hits_new"), ("public", "hits_old"),
    )  # fmt: skip
    assert found.listed[0].bytes > 200_000
    assert found.bytes < found.all_bytes
    checks = {
        check.name: check for check in preflight(lab.installation, database, exclude_table_data=("audit_logs",)).checks
    }
    assert checks["excluded tables"].severity == "warning"
    assert "the data of 1 table left out" in checks["excluded tables"].message
    assert "public.audit_logs (data only)" in checks["excluded tables"].detail[0]


@pytest.mark.parametrize(
    ("tables", "data", "words"),
    [
        (("nothing_*",), (), "'nothing_\\*'"),
        ((), ("nothing_*",), "'nothing_\\*'"),
        (("*",), (), "every table"),
        (("users", "hits*"), ("audit_*", "seen"), "every table"),
        ((), ("audit_logs_id_seq",), "No table whose data"),
    ],
)
def test_a_pattern_that_matches_nothing_or_everything_is_refused(
    new_lab: NewLab, tables: tuple[str, ...], data: tuple[str, ...], words: str
) -> None:
    lab = new_lab(LOGS)
    database = lab.installation.settings.databases[0]
    with pytest.raises(NothingMatches, match=words):
        preview_excluded(database, Exclusions(tables, data))
    found = preflight(lab.installation, database, exclude_tables=tables, exclude_table_data=data)
    assert next(check for check in found.checks if check.name == "excluded tables").severity == "blocking"
    with pytest.raises(BackupsError, match=words):
        back_up(lab, exclude_tables=tables, exclude_table_data=data)
    assert list(lab.installation.storage("primary").list()) == []


@pytest.mark.parametrize("jobs", [0, -1, 17, 1000])
def test_a_number_of_jobs_that_is_out_of_range_is_refused_with_what_is_allowed(new_lab: NewLab, jobs: int) -> None:
    lab = new_lab("CREATE TABLE one ()")
    with pytest.raises(InputError, match="not possible") as refused:
        commands.submit_backup(lab.installation, BackupRequest("la_factoria", jobs=jobs), actor="t")
    assert "1 (one stream, no disk needed) to 16" in refused.value.hint
    assert lab.installation.catalog.runs.list() == []


def test_the_setting_says_how_many_jobs_dump_where_nothing_is_asked_for(new_lab: NewLab) -> None:
    lab = new_lab("CREATE TABLE one AS SELECT 1 AS i", database={"jobs": 2, "exclude_table_data": ("one",)})
    with pytest.raises(NothingMatches):
        back_up(lab, jobs=None)  # it is the only table
    lab = new_lab("CREATE TABLE one AS SELECT 1 AS i; CREATE TABLE two ()", database={"jobs": 2})
    run_id = commands.submit_backup(lab.installation, BackupRequest("la_factoria"), actor="t", queue=False)
    run = execute_run(lab.installation, run_id, worker=process_identity())
    assert run.backup_id is not None, run.error
    assert lab.installation.catalog.backups.get(run.backup_id).format == "directory"
