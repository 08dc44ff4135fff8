"""Large databases on the command line: a parallel backup, what it holds, one table of it, and the way without us."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.backups.by_hand import restore_commands
from services.installation import open_installation
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import connect, passfile
from tests.cli.conftest import Shell
from tests.support.servers import drop_database


@pytest.fixture
def parallel(shell: Shell) -> dict[str, object]:
    return shell.create("--jobs", "2", "--name", "large_one")


def test_a_parallel_backup_is_listed_proven_and_comes_back_from_the_storage_alone(
    shell: Shell, parallel: dict[str, object], tmp_path: Path
) -> None:
    assert (parallel["format"], parallel["compression"]) == ("directory", "zstd")
    (tested,) = shell.json("restore-test", "--quiet")
    assert tested["verification"]["outcome"] == "passed"
    assert shell.run("verify", "--level", "archive", "--quiet").exit_code == 0
    (listed,) = shell.json("list")
    lost = Shell(tmp_path, shell.database, shell.variables | {"BACKUPS_HOME": str(tmp_path / "again")})
    assert lost.run("rebuild").exit_code == 0
    (again,) = lost.json("list")
    members = ("id", "format", "sha256", "plain_bytes", "stored_bytes", "proven_at", "verification", "tiers")
    assert {name: again[name] for name in members} == {name: listed[name] for name in members}


def test_what_it_holds_is_listed_and_one_table_restored(shell: Shell, parallel: dict[str, object]) -> None:
    held = shell.json("contents", "large_one")
    assert {f"{t['schema']}.{t['name']}": t["rows"] for t in held["tables"]} == {
        "public.users": 2000, "public.audit_logs": 500,
    }  # fmt: skip
    assert held["objects"]["VIEW"] == ["public.some_users"]
    said = shell.run("contents", "large_one").stdout
    read = [row for row in shell.json("audit", "list") if "contents" in row["detail"]]
    assert [(row["action"], row["outcome"], row["target"]) for row in read] == [
        ("backup.read", outcome, "large_one") for outcome in ("done", "begun", "done", "begun")
    ]
    assert "public.users" in said
    assert "2,000" in said
    assert "whether the rest is whole" in said
    target = shell.database.with_database("one_table")
    try:
        done = shell.run("restore", "large_one", "--target", target.dbname, "--table", "users", "--quiet")
        assert done.exit_code == 0, done.stderr
        assert "Part of the backup (users), no proof of the whole" in done.stdout
        with connect(target) as connection:
            found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ '^(pg|sql)_'")
            assert found.fetchall() == [("users",)]
    finally:
        drop_database(target)
    refused = shell.run("restore", "large_one", "--target", "never", "--table", "user", "--quiet")
    assert refused.exit_code == 2
    assert "no table 'user'" in refused.stderr
    assert "public.users" in refused.stderr


def test_pre_checks_say_how_it_will_be_dumped_and_what_that_takes(shell: Shell, parallel: dict[str, object]) -> None:
    found = shell.run("preflight", "--jobs", "3", "--json")
    assert '"name": "space"' in found.stdout
    said = shell.run("preflight", "--exclude-table", "audit_logs", "--exclude-table-data", "users").stdout
    assert "every table" in said
    said = shell.run("preflight", "--exclude-table-data", "audit_*").stdout
    assert "the data of 1 table left out" in said
    assert "no history" in said  # of a partial one
    for jobs in ("0", "1000"):
        refused = shell.run("create", "--jobs", jobs)
        assert refused.exit_code == 2, refused.stderr
        assert "to 16" in refused.stderr


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "plain"])
def test_standard_programs_alone_restore_it_by_the_commands_that_are_shown(
    shell: Shell, tmp_path: Path, encrypted: bool
) -> None:
    shell.create("--jobs", "2", "--name", "by_hand", *([] if encrypted else ["--no-encrypt"]))
    installation = open_installation(shell.variables)
    backup = installation.catalog.backups.find("by_hand")
    script = restore_commands(backup, backup.copies[0])
    assert "pg_restore --no-owner" in script
    installation.close()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "key.txt").write_text(shell.variables["BACKUP_ENCRYPTION_KEY"])
    client = choose_client(find_clients(), 15)
    target = shell.database.with_database(f"{backup.database}_restored")
    try:
        with passfile(shell.database) as secret:
            environ = shell.database.child_environment(secret)
            ran = subprocess.run(
                ["bash", "-e", "-c", script],
                cwd=tmp_path / "work",
                env=environ | {"PATH": f"{client.bin_dir}:/usr/local/bin:/usr/bin:/bin", "PGDATABASE": "postgres"},
                capture_output=True,
                text=True,
            )
        assert ran.returncode == 0, ran.stderr
        with connect(target) as connection:
            row = connection.execute("SELECT count(*), (SELECT count(*) FROM audit_logs) FROM users").fetchone()
        assert row == (2000, 500)
    finally:
        drop_database(target)
