"""Every check of the doctor, seen well and seen failing."""

# ruff: noqa: F811 - a fixture that is imported, and asked for by its name
from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services import doctor
from services.clock import utc_now
from services.doctor import Diagnosis, _check_settings, examine
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.settings.access import AccessSettings
from services.storage.local import LocalStorage
from services.storage.protocol import StorageProbe
from services.stream.encryption import generate_key
from tests.access.test_sign_in import OIDC
from tests.cli.conftest import Shell, shell  # noqa: F401 - a fixture
from tests.support.installations import make_settings


def _examine(the: Shell, clock: Callable[[], datetime] = utc_now, **variables: str) -> dict[str, list[Diagnosis]]:
    """Return the diagnoses by the name of their check."""
    found: dict[str, list[Diagnosis]] = {}
    for diagnosis in examine(the.variables | variables, clock):
        found.setdefault(diagnosis.name, []).append(diagnosis)
    for secret in the.secrets:
        assert secret not in repr(found)
    return found


def _worst(found: list[Diagnosis]) -> str:
    return max((d.result for d in found), key=["ok", "warning", "failed"].index)


def _words(found: list[Diagnosis]) -> str:
    return " ".join(f"{d.message} {d.hint}" for d in found)


def test_an_installation_that_works_has_nothing_failed(shell: Shell) -> None:
    shell.create()
    found = _examine(shell)
    assert {name for name, each in found.items() if _worst(each) == "failed"} == set()
    assert {name for name, each in found.items() if _worst(each) == "ok"} >= {
        "settings", "home folder", "catalogue", "storage primary", "key", "restore test of la_factoria",
        "newest backup of la_factoria",
    }  # fmt: skip
    said = shell.run("doctor", "--json")
    assert said.exit_code == 1  # no worker; the tests' role is a superuser
    assert {d["name"] for d in json.loads(said.stdout)} == set(found)


def test_wrong_settings_are_named_one_by_one(shell: Shell) -> None:
    found = _examine(shell, DATABASE_URL="mysql://h/x", BACKUP_STORAGE="ftp://h")
    assert list(found) == ["settings"]
    assert len(found["settings"]) == 2
    assert shell.run("doctor", DATABASE_URL="mysql://h/x").exit_code == 2


def test_a_role_for_anybody_on_earth_is_a_warning(tmp_path: Path) -> None:
    def warned(issuer: str, **more: Any) -> bool:
        access = AccessSettings(**OIDC | {"issuer": issuer} | more)
        settings = make_settings(tmp_path).model_copy(update={"access": access})
        return any(result == "warning" and issuer in said for result, said, _ in _check_settings(settings))

    google, microsoft = "https://accounts.google.com", "https://login.microsoftonline.com"
    for issuer in (google, f"{microsoft}/common/v2.0"):
        assert warned(issuer, default_role="viewer")
        assert not warned(issuer)
    for issuer in (f"{microsoft}/5d0e2c3f-0000-4000-8000-000000000000/v2.0", "https://id.example.com"):
        assert not warned(issuer, default_role="viewer")


def test_a_home_folder_that_cannot_be_made_is_failed(shell: Shell) -> None:
    (shell.folder / "file").write_text("")
    found = _examine(shell, BACKUPS_HOME=str(shell.folder / "file" / "home"))
    assert _worst(found["home folder"]) == "failed"
    assert _worst(found["catalogue"]) == "failed"


def test_a_home_folder_that_others_can_enter_is_a_warning(shell: Shell) -> None:
    home = Path(shell.variables["BACKUPS_HOME"])
    home.chmod(0o755)
    found = _examine(shell)
    assert _worst(found["home folder"]) == "warning"
    assert "chmod 700" in _words(found["home folder"])


@pytest.mark.parametrize("free, result", [(10**9, "warning"), (10**8, "failed"), (10**11, "ok")])
def test_a_full_home_folder_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, result: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (tmp_path / "home").mkdir(mode=0o700)
    assert [r for r, _, _ in doctor.check_home(tmp_path / "home")] == [result]


def test_a_catalogue_that_cannot_be_reached_is_failed_and_the_rest_is_examined(shell: Shell) -> None:
    found = _examine(shell, CATALOG_URL="postgresql://u:planted-word@127.0.0.1:1/catalog")
    assert _worst(found["catalogue"]) == "failed"
    assert "planted-word" not in repr(found)
    assert _worst(found["storage primary"]) == "ok"


def test_a_catalogue_of_another_version_is_failed(shell: Shell) -> None:
    shell.json("list")
    catalog = Path(shell.variables["BACKUPS_HOME"]) / "catalog.db"
    with sqlite3.connect(catalog) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000_older'")
    found = _examine(shell)
    assert _worst(found["catalogue"]) == "failed"
    assert "backups migrate" in _words(found["catalogue"])


def test_a_database_that_does_not_answer_is_failed(shell: Shell) -> None:
    found = _examine(shell, DATABASE_URL="postgresql://u:planted-word@127.0.0.1:1/x")
    assert _worst(found["database la_factoria"]) == "failed"
    assert "planted-word" not in repr(found)


def test_a_role_that_cannot_read_every_table_is_failed(shell: Shell) -> None:
    with connect(shell.database) as connection:
        connection.execute("DROP ROLE IF EXISTS doctor_reads_nothing")
        connection.execute("CREATE ROLE doctor_reads_nothing LOGIN PASSWORD 'planted-word'")
    url = f"postgresql://doctor_reads_nothing:planted-word@{shell.database.host}:{shell.database.port}"
    found = _examine(shell, DATABASE_URL=f"{url}/{shell.database.dbname}")
    with connect(shell.database) as connection:
        connection.execute("DROP ROLE doctor_reads_nothing")
    assert _worst(found["database la_factoria"]) == "failed"
    assert not any("A backup could start" in d.message for d in found["database la_factoria"])


def test_a_wrong_clock_is_noticed_on_the_database_server(shell: Shell) -> None:
    found = _examine(shell, clock=lambda: utc_now() - timedelta(minutes=10))
    assert "10 min" in _words(found["database la_factoria"])
    assert "ahead of ours" in _words(found["database la_factoria"])


@pytest.mark.parametrize("skew, result", [(30, "ok"), (-120, "warning"), (1200, "failed")])
def test_a_storage_whose_clock_is_off_is_noticed(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    skew: int,
    result: str,
) -> None:
    monkeypatch.setattr(LocalStorage, "probe", lambda self: StorageProbe(timedelta(seconds=skew), 0.1))
    assert _worst(_examine(shell)["storage primary"]) == result


def test_a_storage_that_cannot_be_written_to_is_failed(shell: Shell) -> None:
    (shell.folder / "storage").write_text("a file where the folder should be")
    assert _worst(_examine(shell)["storage primary"]) == "failed"


def test_a_key_that_is_none_of_the_recipients_is_a_warning(shell: Shell) -> None:
    other = generate_key()[0]
    found = _examine(shell, BACKUP_ENCRYPTION_KEY=other)
    assert _worst(found["key"]) == "warning"
    assert "none of the recipients" in _words(found["key"])
    assert other not in repr(found)


def test_a_missing_key_is_a_warning(shell: Shell) -> None:
    del shell.variables["BACKUP_ENCRYPTION_KEY"]
    found = _examine(shell)
    assert _worst(found["key"]) == "warning"
    assert "no secret key here" in _words(found["key"])


def test_a_key_that_opened_only_older_backups_is_said(shell: Shell) -> None:
    shell.create()
    found = _examine(shell, BACKUP_ENCRYPTION_KEY=generate_key()[0])
    assert _worst(found["newest backup of la_factoria"]) != "ok"


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_manifest_that_cannot_be_believed_is_failed(shell: Shell, damage: str) -> None:
    shell.create()
    (manifest,) = (shell.folder / "storage").rglob("*.manifest.json")
    if damage == "changed":
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"note": "changed"}))
    else:
        manifest.unlink()
    assert _worst(_examine(shell)["newest backup of la_factoria"]) == "failed"


def test_no_backup_and_no_worker_are_warnings(shell: Shell) -> None:
    found = _examine(shell)
    assert _worst(found["newest backup of la_factoria"]) == "warning"
    assert _worst(found["worker"]) == "warning"


def test_a_restore_test_server_that_does_not_answer_is_failed(shell: Shell) -> None:
    found = _examine(shell, RESTORE_TEST_URL="postgresql://u:planted-word@127.0.0.1:1/x")
    assert _worst(found["restore test of la_factoria"]) == "failed"


def test_a_restore_test_on_the_sources_own_server_is_a_warning(shell: Shell) -> None:
    found = _examine(shell, RESTORE_TEST_URL=shell.database.with_database("postgres").url().get_secret_value())
    assert _worst(found["restore test of la_factoria"]) == "warning"
    assert "own server" in _words(found["restore test of la_factoria"])


def test_a_restore_test_role_that_may_not_make_databases_is_failed(
    shell: Shell,
    server18: LocalServer,
) -> None:
    with connect(server18.address) as connection:
        connection.execute("DROP ROLE IF EXISTS doctor_makes_nothing")
        connection.execute("CREATE ROLE doctor_makes_nothing LOGIN PASSWORD 'planted-word'")
    address: Address = server18.address
    url = f"postgresql://doctor_makes_nothing:planted-word@{address.host}:{address.port}/postgres"
    found = _examine(shell, RESTORE_TEST_URL=url)
    with connect(server18.address) as connection:
        connection.execute("DROP ROLE doctor_makes_nothing")
    assert _worst(found["restore test of la_factoria"]) == "failed"
    assert "CREATEDB" in _words(found["restore test of la_factoria"])


def test_a_restore_test_server_older_than_the_source_is_a_warning(
    shell: Shell,
    server15: LocalServer,
    server18: LocalServer,
    database: Callable[..., Address],
) -> None:
    newer = database(server18, "CREATE TABLE t AS SELECT 1 AS n")
    shell.variables |= {
        "DATABASE_URL": newer.url().get_secret_value(),
        "RESTORE_TEST_URL": server15.address.url().get_secret_value(),
    }
    shell.create()
    found = _examine(shell)
    assert _worst(found["restore test of la_factoria"]) == "warning"
    assert "older than the source" in _words(found["restore test of la_factoria"])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('CREATE TABLE t (x text COLLATE "und-x-icu");', "uses for its collations: und-x-icu. Set RESTORE_TEST_URL"),
        ("CREATE COLLATION mine (provider = icu, locale = 'de');", "uses for its collations: mine. Set RESTORE_TEST"),
        ('CREATE DOMAIN d AS text COLLATE "de-x-icu";', "uses for its collations: de-x-icu. Set RESTORE_TEST_URL"),
        ("CREATE TABLE t (x text COLLATE \"C\");", ""),
    ],
)  # fmt: skip
def test_a_source_with_collations_of_icu_and_a_scratch_server_without_it_is_a_warning(
    shell: Shell, server15: LocalServer, database: Callable[..., Address], script: str, said: str
) -> None:
    source = database(server15, script).url().get_secret_value()
    found = _examine(shell, DATABASE_URL=source)["restore test of la_factoria"]
    assert _worst(found) == ("warning" if said else "ok")
    assert said in _words(found)
    assert not said or "was built without ICU" in _words(found)


def test_a_source_whose_own_locale_is_icus_is_told_that_texts_sort_differently(
    shell: Shell, server15: LocalServer
) -> None:
    with connect(server15.address) as connection:
        connection.execute("DROP DATABASE IF EXISTS doctor_icu")
        connection.execute(
            "CREATE DATABASE doctor_icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' ENCODING 'UTF8'"
        )
    try:
        source = server15.address.with_database("doctor_icu").url().get_secret_value()
        found = _examine(shell, DATABASE_URL=source)["restore test of la_factoria"]
    finally:
        with connect(server15.address) as connection:
            connection.execute("DROP DATABASE doctor_icu")
    assert _worst(found) == "warning"
    assert "the database's own locale. Restore tests pass there, but texts sort differently." in _words(found)


def test_whether_anybody_is_told_of_alerts_is_said_and_nothing_is_sent(shell: Shell) -> None:
    assert _worst(_examine(shell)["alerts"]) == "warning"
    fine = _examine(shell, BACKUP_ALERT_URLS="json://127.0.0.1:1/Tok3n-planted-5512")["alerts"]
    assert (_worst(fine), "json to 127.0.0.1" in _words(fine)) == ("ok", True)
    assert "Tok3n" not in _words(fine)
    wrong = _examine(shell, BACKUP_ALERT_URLS="nonsense://Tok3n-planted-5512")["alerts"]
    assert _worst(wrong) == "failed"
    assert "this nonsense:// URL" in _words(wrong)
