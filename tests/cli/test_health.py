"""``backups health`` and ``backups alert`` as a person and Nagios meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from services.cli.main import app
from tests.support.sinks import mail_server, web_server

SECRET = "Tok3n-planted-5512"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "BACKUPS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": "postgresql://u:planted-password@127.0.0.1:1/la_factoria",
        "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
        "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p "
        "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg",
        "BACKUP_SCHEDULE": "off",
    }


def backups(environ: dict[str, str], *words: str, **more: str) -> Result:
    """Run ``backups WORDS`` in this process, with nothing but this environment."""
    with mock.patch.dict(os.environ, environ | more, clear=True):
        done = CliRunner().invoke(app, words)
    assert "Traceback" not in done.stderr
    return done


def test_health_is_a_nagios_plugin(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "services.cli.main", "health"]
    process = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    first, *rest = process.stdout.splitlines()
    assert process.returncode == 2
    assert first.startswith("BACKUPS CRITICAL - 1 failed, ")
    assert " | failure=1 unknown=0 warning=0 ok=" in first
    assert rest[0] == "CRITICAL: database la_factoria, last good backup: No backup was ever finished. Run one now."
    assert process.stderr == ""


def test_a_schedule_without_a_worker_is_said_at_once(environ: dict[str, str]) -> None:
    """Nobody may learn only from the first missed slot that nothing works off the schedule."""
    done = backups(environ, "health", BACKUP_SCHEDULE="0 2 * * *")
    assert done.exit_code == 2
    said = (
        "CRITICAL: worker, heartbeat: No worker runs, so no scheduled backup will start. Start it with: backups worker"
    )
    assert said in done.stdout
    done = backups(environ, "status", BACKUP_SCHEDULE="0 2 * * *")
    assert "No worker runs, so no scheduled backup will start." in done.stdout + done.stderr


def test_health_as_json_and_for_prometheus(environ: dict[str, str]) -> None:
    done = backups(environ, "health", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["worst"]) == (2, "failure")
    assert {check["key"] for check in found["checks"]} >= {"backup_age:database/la_factoria", "catalogue:installation"}
    done = backups(environ, "health", "--prometheus")
    assert done.exit_code == 2
    assert {f.name for f in text_string_to_metric_families(done.stdout)} >= {"backups_check_state"}
    assert backups(environ, "health", "--prometheus", "--json").exit_code == 2


def test_a_deep_health_check_is_recorded_as_a_run(environ: dict[str, str]) -> None:
    done = backups(environ, "health", "--deep")
    assert done.exit_code == 2
    assert "database la_factoria, connection: Cannot connect to" in done.stdout
    [run] = json.loads(backups(environ, "runs", "--kind", "health", "--json").stdout)
    assert (run["state"], run["result"]["outcome"]) == ("finished", "failed")


def test_a_catalogue_that_is_away_is_critical_and_wrong_settings_are_unknown(environ: dict[str, str]) -> None:
    away = backups(environ, "health", CATALOG_URL="postgresql://u:planted-catalog@127.0.0.1:1/c")
    assert away.exit_code == 2
    assert away.stdout.startswith("BACKUPS CRITICAL - 1 failed; installation, catalogue:")
    assert "planted-catalog" not in away.stdout + away.stderr
    wrong = backups(environ, "health", BACKUP_ALERT_SLACK="true")
    assert wrong.exit_code == 3
    assert wrong.stdout.startswith("BACKUPS UNKNOWN - 1 unknown; installation, settings:")
    assert "a webhook's URL is needed, not a yes" in wrong.stdout


def test_the_runbooks_slack_switch_is_refused_with_what_is_needed(environ: dict[str, str]) -> None:
    done = backups(environ, "alert", "test", BACKUP_ALERT_SLACK="true")
    assert done.exit_code == 2
    assert "BACKUP_ALERT_SLACK: a webhook's URL is needed" in done.stderr
    assert "https://hooks.slack.com/services/" in done.stderr


def test_an_alert_from_its_opening_to_its_acknowledgement(environ: dict[str, str]) -> None:
    with mail_server() as mail, web_server() as web:
        environ |= {
            "BACKUP_ALERT_EMAIL": "ops@example.com, dba@example.com",
            "BACKUP_SMTP_URL": f"smtp://127.0.0.1:{mail.port}?tls=no",
            "BACKUP_ALERT_URLS": f"json://u:{SECRET}@127.0.0.1:{web.port}/{SECRET}",
        }
        tested = backups(environ, "alert", "test")
        assert tested.exit_code == 0, tested.stderr
        assert len(tested.stdout.splitlines()) == 3
        assert "e-mail to dba@example.com: took it" in tested.stdout
        checked = backups(environ, "alert", "check")
        assert "open: backup_age:database/la_factoria" in checked.stdout
        assert len(mail.mails) == 4
        assert backups(environ, "alert", "check").stdout == "0 messages sent.\n"
        listed = backups(environ, "alert", "list", "--json")
        assert listed.exit_code == 2
        [alert] = json.loads(listed.stdout)
        assert (alert["title"], alert["acknowledged_by"]) == ("No recent backup", None)
        unsaid = backups(environ, "alert", "ack", alert["id"], "--note", " ")
        assert (unsaid.exit_code, "A note is needed" in unsaid.stderr) == (2, True)
        assert backups(environ, "alert", "ack", "nothing", "--note", "x").exit_code == 2
        acknowledged = backups(environ, "alert", "ack", alert["id"], "--note", "first backup tonight")
        assert acknowledged.stdout == "Acknowledged: No recent backup, database la_factoria.\n"
        assert "first backup tonight" in backups(environ, "alert", "list").stdout.replace("\n", " ")
        past = json.loads(backups(environ, "alert", "history", "--json").stdout)
        assert [each["note"] for each in past] == ["first backup tonight"]
        web.status = 500
        failed = backups(environ, "alert", "test", "--json")
        assert failed.exit_code == 2
        assert [each["accepted"] for each in json.loads(failed.stdout)] == [True, True, False]
        everything = "".join(done.stdout + done.stderr for done in (tested, checked, listed, failed))
        assert SECRET not in everything


def test_without_a_channel_a_test_says_what_to_set(environ: dict[str, str]) -> None:
    done = backups(environ, "alert", "test")
    assert done.exit_code == 2
    assert "BACKUP_ALERT_EMAIL" in done.stderr
