"""The settings of point in time: from a file, from the environment, and what contradicts itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services.errors import SettingsError
from services.settings.load import load_settings
from services.settings.model import PitrSettings, Settings
from services.stream.encryption import generate_key

_, PUBLIC = generate_key()
DATABASE = """
[[databases]]
name = "{name}"
url = "postgresql://u@db.example.com/{name}"
[databases.pitr]
enabled = true
method = "receiver"
{more}
"""


def load(folder: Path, *databases: str) -> Settings:
    config = folder / "backups.toml"
    storage = '[[storages]]\nname = "primary"\nurl = "file:///srv/backups"\n'
    config.write_text(f'recipients = ["{PUBLIC}"]\n{storage}' + "".join(databases))
    settings = load_settings({"BACKUPS_CONFIG": str(config)})
    assert settings is not None
    return settings


def test_a_file_sets_it_for_one_database(tmp_path: Path) -> None:
    settings = load(tmp_path, DATABASE.format(name="orders", more='window = "7d"\nslot_lag = "1GB"'))
    [database] = settings.databases
    assert (database.pitr.method, database.pitr.window, database.pitr.slot_lag) == (
        "receiver", timedelta(days=7), 10**9,
    )  # fmt: skip
    assert settings.pitr_storage_of(database).name == "primary"
    assert not PitrSettings().enabled


def test_one_variable_switches_it_on() -> None:
    environ = {
        "DATABASE_URL": "postgresql://u@db.example.com/orders",
        "BACKUP_STORAGE": "file:///srv/backups",
        "BACKUP_RECIPIENTS": PUBLIC,
    }
    for method in ("archive_command", "receiver"):
        settings = load_settings(environ | {"PITR_METHOD": method})
        assert settings is not None
        assert (settings.databases[0].pitr.enabled, settings.databases[0].pitr.method) == (True, method)
    with pytest.raises(SettingsError, match="PITR_METHOD"):
        load_settings(environ | {"PITR_METHOD": "pigeon"})


@pytest.mark.parametrize(
    "more, named",
    [
        ('storage = "nowhere"', "there is no storage 'nowhere'"),
        ('window = "soon"', "window"),
        ('slot = "Not-A-Slot"', "slot"),
        ('system_identifier = "abc"', "system_identifier"),
        ('spool_limit = "1MB"', "spool_limit"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, more: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(tmp_path, DATABASE.format(name="orders", more=more))


def test_two_databases_of_one_server_do_not_share_a_slot(tmp_path: Path) -> None:
    orders = DATABASE.format(name="orders", more="")
    with pytest.raises(SettingsError, match=r"slot.*is orders's"):
        load(tmp_path, orders, DATABASE.format(name="billing", more=""))
    assert len(load(tmp_path, orders, DATABASE.format(name="billing", more='slot = "billing"')).databases) == 2
