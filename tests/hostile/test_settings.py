"""Hostile settings: accepted as what they are, or refused by the field's name; no other error, no secret told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import BackupsError
from services.settings.environment import Environment
from services.settings.load import load_settings
from services.settings.model import DatabaseSettings, Settings, StorageSettings
from services.stream.encryption import generate_key
from tests.hostile.payloads import HOSTILE, KNOWN

WELL = {
    "DATABASE_URL": "postgresql://u:planted-Passw0rd@127.0.0.1:1/d",
    "BACKUP_STORAGE": "file:///srv/backups",
    "BACKUP_RECIPIENTS": generate_key()[1],
}
VARIABLES = sorted(set(Environment.model_fields) - {"BACKUPS_CONFIG", "BACKUPS_HOME"})
SECRET = "PRESERVED-planted-7431"


def loaded(environ: dict[str, str]) -> str:
    """Load the settings; return why they are refused, or nothing."""
    why = ""
    try:
        load_settings(environ)
    except BackupsError as error:
        why = str(error)
    assert len(why) < 30_000, "a refusal does not repeat what has no end"
    return why


@settings(max_examples=300)
@given(name=st.sampled_from(VARIABLES), text=HOSTILE)
def test_each_variable_takes_any_text_or_names_itself(name: str, text: str) -> None:
    why = loaded(WELL | {name: text})
    assert "planted-Passw0rd" not in why
    assert not why or any(known in why for known in (*VARIABLES, *Settings.model_fields)), why


@pytest.mark.parametrize(
    "variable", ["BACKUP_ENCRYPTION_KEY", "BACKUP_SIGNING_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"]
)
def test_a_secret_that_is_wrong_is_not_told(variable: str) -> None:
    for text in (text for text in KNOWN if len(text) < 1000):
        assert SECRET not in loaded(WELL | {variable: f"{SECRET}{text}"})


def quoted(text: str) -> str:
    """Return the text as TOML writes it."""
    return '"' + "".join(f"\\U{ord(c):08X}" if not c.isalnum() or not c.isascii() else c for c in text) + '"'


@settings(max_examples=150)
@given(
    where=st.sampled_from(
        [("databases", name) for name in DatabaseSettings.model_fields if name not in ("name", "url")]
        + [("storages", name) for name in StorageSettings.model_fields if name not in ("name", "url")]
    ),
    text=HOSTILE.filter(lambda text: len(text) < 3000 and not any("\ud800" <= c <= "\udfff" for c in text)),
)
def test_each_field_of_a_file_takes_any_text_or_names_itself(
    where: tuple[str, str], text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    section, field = where
    lines = {
        "databases": '[[databases]]\nname = "d"\nurl = "postgresql://u:p@h/d"\nencrypt = false\n',
        "storages": '[[storages]]\nname = "s"\nurl = "file:///srv/s"\n',
    }
    lines[section] = lines[section].replace("encrypt = false\n", "" if field == "encrypt" else "encrypt = false\n")
    lines[section] += f"{field} = {quoted(text)}\n"
    written = "".join(lines.values())
    assert tomllib.loads(written)[section][0][field] == text
    file: Path = tmp_path_factory.getbasetemp() / "hostile.toml"
    file.write_text(written)
    why = loaded({"BACKUPS_CONFIG": str(file)})
    assert not why or field in why or section in why or "recipient" in why, why
