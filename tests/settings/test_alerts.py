"""Settings of alerts: from the environment and a file, refused with what is allowed, and masked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services.errors import SettingsError
from services.settings.load import load_alerts, load_settings
from services.settings.secret_texts import alert_secrets, secrets_of

BASE = {
    "DATABASE_URL": "postgresql://u:p@h/d",
    "BACKUP_STORAGE": "file:///tmp/x",
    "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
}
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


def test_the_environment_names_the_channels() -> None:
    settings = load_settings(
        BASE
        | {
            "BACKUP_ALERT_EMAIL": "ops@example.com, dba@example.com",
            "BACKUP_SMTP_URL": "smtp://user:password@mail.example.com:587",
            "BACKUP_ALERT_SLACK": SLACK,
            "BACKUP_ALERT_URLS": "json://u:p@h/a,b ntfy://x,xml://y",
            "BACKUP_HEARTBEAT_URL": "https://hc-ping.com/0f5c2e7a",
        }
    )
    assert settings is not None
    alerts = settings.alerts
    assert alerts.email == ("ops@example.com", "dba@example.com")
    assert [url.get_secret_value() for url in alerts.urls] == ["json://u:p@h/a,b", "ntfy://x", "xml://y"]
    assert alerts.slack is not None
    assert alerts.slack.get_secret_value() == SLACK
    assert SLACK not in repr(settings)


@pytest.mark.parametrize("off", ["false", "no", "0", ""])
def test_slack_can_be_switched_off_as_the_runbook_would(off: str) -> None:
    settings = load_settings(BASE | {"BACKUP_ALERT_SLACK": off})
    assert settings is not None
    assert settings.alerts.slack is None


FAULTS = {
    "slack: true": ({"BACKUP_ALERT_SLACK": "true"}, "BACKUP_ALERT_SLACK: a webhook's URL is needed, not a yes"),
    "slack: elsewhere": ({"BACKUP_ALERT_SLACK": "https://example.com/services/a/b/c"}, "a webhook's URL is needed"),
    "no mail server": ({"BACKUP_ALERT_EMAIL": "ops@example.com"}, "set smtp_url (BACKUP_SMTP_URL)"),
    "no address": (
        {"BACKUP_ALERT_EMAIL": "ops", "BACKUP_SMTP_URL": "smtp://h"}, "BACKUP_ALERT_EMAIL: write addresses such as"),
    "no smtp URL": (
        {"BACKUP_ALERT_EMAIL": "a@b.c", "BACKUP_SMTP_URL": "mail.example.com"}, "BACKUP_SMTP_URL: write smtp://"),
    "no URL": ({"BACKUP_ALERT_URLS": "hello"}, "BACKUP_ALERT_URLS: write Apprise URLs such as ntfy://topic"),
    "no web address": ({"BACKUP_HEARTBEAT_URL": "file:///etc/passwd"}, "BACKUP_HEARTBEAT_URL: write an http://"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_what_is_allowed(fault: str) -> None:
    environ, words = FAULTS[fault]
    with pytest.raises(SettingsError) as refused:
        load_settings(BASE | environ)
    assert words in str(refused.value)
    assert "for example" in str(refused.value)
    assert next(iter(environ.values())) not in str(refused.value) or len(next(iter(environ.values()))) < 6


def test_a_file_sets_thresholds_and_the_environment_adds_the_secrets(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text(
        'home = "x"\nrecipients = ["' + BASE["BACKUP_RECIPIENTS"] + '"]\n'
        '[[storages]]\nname = "local"\nurl = "file:///tmp/x"\n'
        '[[databases]]\nname = "d"\nurl = "postgresql://u:p@h/d"\n'
        '[alerts]\nemail = ["ops@example.com"]\nremind_after = "12h"\nstorage_warning = 70\nhold = "0s"\n'
    )
    settings = load_settings({"BACKUPS_CONFIG": str(file), "BACKUP_SMTP_URL": "smtp://u:planted-pw@h"})
    assert settings is not None
    assert (settings.alerts.remind_after, settings.alerts.storage_warning) == (timedelta(hours=12), 70)
    assert settings.alerts.smtp_url is not None
    file.write_text(file.read_text() + "storage_failure = 60\n")
    with pytest.raises(SettingsError, match="storage_failure lies below storage_warning"):
        load_settings({"BACKUPS_CONFIG": str(file), "BACKUP_SMTP_URL": "smtp://u:p@h"})


@pytest.mark.parametrize("value", ['remind_after = "0s"', "size_drop = 0", "size_growth = 1", "storage_failure = 101"])
def test_thresholds_that_make_no_sense_are_refused(tmp_path: Path, value: str) -> None:
    file = tmp_path / "b.toml"
    file.write_text(
        'recipients = ["' + BASE["BACKUP_RECIPIENTS"] + '"]\n[[storages]]\nname = "l"\nurl = "file:///tmp/x"\n'
        f'[[databases]]\nname = "d"\nurl = "postgresql://u:p@h/d"\n[alerts]\n{value}\n'
    )
    with pytest.raises(SettingsError, match=f"alerts.{value.split(maxsplit=1)[0]}"):
        load_settings({"BACKUPS_CONFIG": str(file)})


def test_every_part_of_an_address_that_may_be_a_token_is_masked_and_plain_words_are_not() -> None:
    settings = load_settings(
        BASE
        | {
            "BACKUP_ALERT_SLACK": SLACK,
            "BACKUP_ALERT_URLS": "json://user:pl4nted-pw@localhost:8080/la_factoria/backups",
            "BACKUP_HEARTBEAT_URL": "https://hc-ping.com/0f5c2e7a-1111-4222-8333-444455556666",
        }
    )
    assert settings is not None
    found = secrets_of(settings)
    assert {"TIiajkdnlazkcOXrIdevi7FQ", "pl4nted-pw", "0f5c2e7a-1111-4222-8333-444455556666", SLACK} <= found
    assert not {"localhost", "la_factoria", "backups", "hooks.slack.com"} & found
    assert alert_secrets(settings.alerts) <= found


def test_the_sample_environment_takes_its_channels_from_the_environment() -> None:
    alerts = load_alerts({"BACKUP_ALERT_URLS": "json://127.0.0.1:1"})
    assert len(alerts.urls) == 1
    with pytest.raises(SettingsError, match="BACKUP_ALERT_SLACK"):
        load_alerts({"BACKUP_ALERT_SLACK": "true"})
