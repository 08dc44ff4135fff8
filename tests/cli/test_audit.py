"""``backups audit``: list, verify, anchor, export, accept."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from services.cli.main import app
from services.cli.session import actor
from services.installation import Installation, open_configured
from tests.access.people import add
from tests.audit.conftest import behind_the_back, fill
from tests.support.catalogs import prepare_home


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    prepare_home(tmp_path / "home")
    (tmp_path / "storage" / "la_factoria").mkdir(parents=True)
    return {
        "PATH": "/usr/bin:/bin",
        "BACKUPS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": "postgresql://u:planted-Passw0rd@127.0.0.1:1/la_factoria",
        "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
        "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    }


@pytest.fixture
def inst(shell: dict[str, str]) -> Iterator[Installation]:
    from services.settings.load import load_settings

    settings = load_settings(shell)
    assert settings is not None
    opened = open_configured(settings)
    yield opened
    opened.close()


def run(shell: dict[str, str], *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["audit", *words], env=shell)
    assert result.exit_code == code, result.output
    return result


def test_rows_are_listed_newest_first_filtered_and_as_json(shell: dict[str, str], inst: Installation) -> None:
    assert "No row fits" in run(shell, "list").stdout
    fill(inst, 12)
    rows = json.loads(run(shell, "list", "--last", "3", "--json").stdout)
    assert [row["number"] for row in rows] == [12, 11, 10]
    assert rows[0]["detail"] == '{"n":12}'
    assert "reason 12" in run(shell, "list", "--by", "ada", "--target", "FACTORIA", "--action", "backup.create").stdout
    assert "No row fits" in run(shell, "list", "--outcome", "failed").stdout
    assert "No row fits" in run(shell, "list", "--target", "%").stdout
    assert "There are begun" in run(shell, "list", "--outcome", "odd", code=2).stderr
    assert "begins" in run(shell, "list", "--since", "2026-11-02", "--until", "2026-11-01", code=2).stderr


def test_verify_ends_as_checks_do_and_accept_needs_a_reason(shell: dict[str, str], inst: Installation) -> None:
    fill(inst, 4)
    assert "OK: 4 rows" in run(shell, "verify").stdout
    assert "is anchored in primary" in run(shell, "anchor").stdout
    found = json.loads(run(shell, "verify", "--json").stdout)
    assert (found["severity"], found["anchors"][0]["storage"], found["findings"]) == ("ok", "primary", [])
    behind_the_back(inst, lambda c: c.execute(sa.text("DELETE FROM audit_log WHERE number = 2")))
    assert "FAILURE: Row 2 was removed" in run(shell, "verify", code=2).stdout
    assert "broken" in run(shell, "anchor", code=1).stderr
    run(shell, "accept", code=2)
    assert "accepted (cli:" in run(shell, "accept", "--reason", "a test").stdout
    run(shell, "verify")


def test_rows_sealed_with_a_key_that_is_not_here_are_a_failure(shell: dict[str, str], inst: Installation) -> None:
    fill(inst, 4)
    found = run(shell | {"BACKUPS_INSTALLATION_KEY": "k" * 44}, "verify", code=2)
    assert "4 rows, the first of them row 1, sealed with a key that is not here" in found.stdout


def test_an_export_is_safe_to_open_and_recorded_itself(
    shell: dict[str, str], inst: Installation, tmp_path: Path
) -> None:
    from services.audit.model import Entry
    from services.audit.record import record

    record(inst, Entry("ada", "backup.create", "database", "=cmd|' /C calc'!A0", "@SUM(1)\n+x"))
    rows = list(csv.DictReader(io.StringIO(run(shell, "export").stdout)))
    assert (rows[-1]["target"][:2], rows[-1]["reason"][:2]) == ("'=", "'@")
    run(shell, "export", "--format", "json", "-o", str(tmp_path / "log.json"), "--action", "audit.export")
    exported = json.loads((tmp_path / "log.json").read_text())
    assert [(row["action"], row["outcome"], row["actor"]) for row in exported] == [
        ("audit.export", "done", actor())
    ] * 2


def test_who_is_no_admin_sees_their_own_rows(shell: dict[str, str], inst: Installation) -> None:
    fill(inst, 2)
    guarded = shell | {
        "BACKUP_ACCESS": "proxy", "BACKUP_ADMINS": "boss", "BACKUP_PROXY_HEADER": "X-User",
        "BACKUP_PROXY_ADDRESSES": "10.0.0.5",
    }  # fmt: skip
    assert "may not look at what oneself did" in run(guarded, "list", code=77).stderr
    add(inst, actor(), "viewer")
    rows = json.loads(run(guarded, "list", "--json").stdout)
    assert [(row["actor"], row["action"], row["outcome"]) for row in rows] == [(actor(), "audit.read", "refused")]
    assert "needs the role operator" in run(guarded, "verify", code=77).stderr
    assert "needs the role admin" in run(guarded, "accept", "--reason", "x", code=77).stderr
