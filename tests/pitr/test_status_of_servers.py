"""Status, setup, gaps, verify and samples from the command line, on real servers that archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.catalog.wal_samples import latest_samples
from services.cli.main import app
from services.health.checks import examine
from services.installation import Installation, open_configured
from services.pitr.sampler import Sampler
from services.pitr.server_facts import try_replication
from services.postgres.connection import connect
from tests.pitr.servers import ArchivingServer, wait_for


@pytest.fixture
def environ(archiving: ArchivingServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a worker whose database is the archiving server."""
    config = Path(archiving.relay.environ["BACKUPS_CONFIG"])
    mine = tmp_path / "backups.toml"
    url = archiving.server.address.url().get_secret_value()
    mine.write_text(config.read_text().replace("postgresql://nobody@127.0.0.1/postgres", url))
    return {"BACKUPS_CONFIG": str(mine), "BACKUPS_HOME": str(tmp_path / "home")}


@pytest.fixture
def installation(archiving: ArchivingServer, tmp_path: Path) -> Iterator[Installation]:
    made = open_configured(archiving.settings.model_copy(update={"home": tmp_path / "home"}))
    yield made
    made.close()


def run(environ: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(app, ["pitr", *words], env=environ)


def run_json(environ: dict[str, str], *words: str) -> tuple[int, Any]:
    result = run(environ, *words, "--json")
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("archiving", [15, 18], indirect=True)
def test_the_status_of_a_server_and_the_setup_that_mends_it(
    archiving: ArchivingServer, environ: dict[str, str]
) -> None:
    # archive_command is the tests' own relay, so it is set to ours for the length of the test
    command = archiving.sql("SELECT setting FROM pg_settings WHERE name = 'archive_command'")
    name = archiving.switch()
    wait_for(lambda: name in archiving.names(), "the segment does not arrive")
    try:
        code, before = run_json(environ, "status")
        checks = {check["name"]: check for check in before["checks"]}
        assert code == 2
        assert checks["archive_timeout"]["severity"] == "warning"
        assert checks["pg_hba.conf"]["severity"] == "ok"
        assert checks["archive"]["severity"] == "ok"
        assert checks["archive_command"]["severity"] == "blocking" or "wal-push" in command
        printed = run(environ, "setup")
        assert "ALTER SYSTEM SET archive_timeout = '60s';" in printed.stdout
        assert archiving.sql("SHOW archive_timeout") == "0"  # printing changes nothing
        code, applied = run_json(environ, "setup", "--apply", "--archive-command", "exec backups pitr wal-push %p")
        assert code == 0
        assert {step["outcome"] for step in applied["steps"]} == {"done"}
        assert archiving.sql("SHOW archive_timeout") == "1min"
        with_key = "env AWS_SECRET_ACCESS_KEY=planted-key backups pitr wal-push %%p"  # psycopg makes it one %
        archiving.sql(f"ALTER SYSTEM SET archive_command = '{with_key}'")
        archiving.sql("SELECT pg_reload_conf()")
        wait_for(lambda: "planted" in archiving.sql("SHOW archive_command"), "the setting does not arrive")
        shown = run(environ, "status").stdout + json.dumps(run_json(environ, "status"))
        assert "AWS_SECRET_ACCESS_KEY=***" in shown
        assert "planted-key" not in shown
        refused = run(environ, "setup", "--apply", "--archive-command", "cp %p /tmp")
        assert refused.exit_code == 2
    finally:
        archiving.sql("ALTER SYSTEM RESET ALL")
        archiving.sql("SELECT pg_reload_conf()")
    wait_for(lambda: archiving.sql("SHOW archive_timeout") == "0", "the settings do not come back")


@pytest.mark.parametrize("archiving", [18], indirect=True)
def test_only_trying_tells_whether_replication_is_let_in(archiving: ArchivingServer) -> None:
    address = archiving.server.address
    assert try_replication(address) is None
    hba = archiving.server.data_dir / "pg_hba.conf"
    before = hba.read_text()
    try:
        hba.write_text("\n".join(line for line in before.splitlines() if "replication" not in line) + "\n")
        archiving.sql("SELECT pg_reload_conf()")
        wait_for(lambda: try_replication(address) is not None, "the server still lets us in")
        assert "pg_hba.conf has no line" in str(try_replication(address))
    finally:
        hba.write_text(before)
        archiving.sql("SELECT pg_reload_conf()")
    wait_for(lambda: try_replication(address) is None, "the server does not let us in again")
    with connect(address) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'x'")
    plain = type(address).parse(f"postgresql://plain:x@127.0.0.1:{address.port}/postgres?sslmode=disable")
    assert "replication" in str(try_replication(plain)).lower() or "WAL" in str(try_replication(plain))
    with connect(address) as connection:
        connection.execute("DROP ROLE plain")


@pytest.mark.parametrize("archiving", [15], indirect=True)
def test_a_removed_and_a_damaged_segment_are_named_and_alert(
    archiving: ArchivingServer, environ: dict[str, str], installation: Installation
) -> None:
    names = [archiving.switch() for _ in range(4)]
    wait_for(lambda: set(names) <= set(archiving.names()), "the segments do not arrive")
    assert run(environ, "gaps").exit_code == 0
    assert run(environ, "expire").exit_code == 0
    assert run_json(environ, "windows") == (
        2,
        {"database": "la_factoria", "error": "", "windows": [], "bad": []},
    )  # no base backup
    sampler = Sampler(installation, by="t")
    sampler.look()
    sample = latest_samples(installation.catalog.engine, ["la_factoria"])["la_factoria"]
    assert (sample.missing, sample.error) == (0, "")
    assert sample.archived_lsn is not None
    assert sample.current_lsn is not None
    assert sample.current_lsn >= sample.archived_lsn
    well = {c.name: c.severity for c in examine(installation).checks if c.name.startswith("wal")}
    assert well == {"wal_delay": "ok", "wal_gap": "ok", "wal_damage": "unknown"}  # nobody has read any of it yet

    stored = {path.name[:24]: path for path in archiving.storage_root.rglob("0000*.age")}
    gone, damaged = stored[names[1]], stored[names[2]]
    kept = gone.read_bytes(), damaged.read_bytes()
    try:
        gone.unlink()
        code, found = run_json(environ, "gaps")
        assert (code, found["gaps"][0]["segments"]) == (2, [names[1]])
        # one that has no listing in its memory yet
        found_sample = Sampler(installation, by="t")._sample(installation.settings.databases[0], sample.at)
        assert (found_sample.missing, found_sample.first_missing) == (1, names[1])
        damaged.write_bytes(kept[1][:-1] + bytes([kept[1][-1] ^ 1]))
        code, found = run_json(environ, "verify", "--last", "4")
        assert code == 2
        assert [names[2] in file["key"] for file in found["damaged"]] == [True]
    finally:
        gone.write_bytes(kept[0])
        damaged.write_bytes(kept[1])
    assert run(environ, "verify", "--last", "4").exit_code == 0
