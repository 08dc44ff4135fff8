"""Hostile text in every command: refused in words that are not themselves without end, or stored as it was written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services import commands
from services.commands import BackupRequest, EmergencyRequest
from services.errors import BackupsError
from services.installation import Installation
from services.postgres.server import LocalServer
from services.settings.web import WebSettings
from tests.hostile.payloads import HOSTILE, KNOWN, SQL, UNICODE
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase

DB = "la_factoria"
Stored = str | None
Command = Callable[[Installation, str], Stored]
"""Gives the command with a text; returns what is stored of it, or None where nothing of it is."""


def run(inst: Installation, run_id: str) -> Any:
    return inst.catalog.runs.get(run_id)


def backup(inst: Installation, text: str, **more: Any) -> Any:
    request = BackupRequest(**({"database": DB} | {name: value for name, value in more.items() if name != "reason"}))
    return run(inst, commands.submit_backup(inst, request, actor="ada", reason=more.get("reason", ""), queue=False))


COMMANDS: dict[str, Command] = {
    "a backup's name": lambda inst, text: backup(inst, text, name=text).params["name"],
    "its note": lambda inst, text: backup(inst, text, note=text).params["note"],
    "its reason": lambda inst, text: backup(inst, text, reason=text).reason,
    "its table patterns": lambda inst, text: backup(inst, text, exclude_tables=(text,)).params["exclude_tables"][0],
    "its reason to force": lambda inst, text: backup(inst, text, force_reason=text).params["force_reason"],
    "its database": lambda inst, text: backup(inst, text, database=text).database,
    "who asks": lambda inst, text: run(inst, commands.submit_janitor(inst, apply=False, actor=text, queue=False)).actor,
    "an idempotency key": lambda inst, text: void(
        commands.submit_janitor(inst, apply=False, actor="ada", queue=False)
        if not text
        else commands.submit_backup(inst, BackupRequest(DB), actor="ada", idempotency_key=text, queue=False)
    ),
    "what is verified": lambda inst, text: void(
        commands.submit_verification(inst, text, "checksum", actor="ada", queue=False)
    ),
    "a restore's target": lambda inst, text: void(commands.submit_restore(inst, text, text, actor="ada", queue=False)),
    "a file": lambda inst, text: void(commands.submit_adopt(inst, Path(text), DB, actor="ada", queue=False)),
    "a storage": lambda inst, text: void(commands.submit_copy(inst, text, text, actor="ada", queue=False)),
    "an emergency's reason": lambda inst, text: (
        run(inst, commands.submit_emergency(inst, EmergencyRequest(DB, reason=text), actor="ada", queue=False)).reason
    ),
    "what is deleted": lambda inst, text: void(
        commands.submit_deletion(inst, [text], reason=text, actor="ada", queue=False)
    ),
    "what is cleaned up": lambda inst, text: void(
        commands.submit_cleanup(inst, database=text or "x", actor="ada", queue=False)
    ),
    "a pin": lambda inst, text: void(commands.set_pin(inst, text, pinned=True, actor="ada", reason=text)),
    "a run": lambda inst, text: void(commands.request_cancel(inst, text, actor="ada")),
    "a schedule": lambda inst, text: void(commands.set_schedule(inst, text, cron="0 2 * * *", actor="ada")),
    "a cron line": lambda inst, text: void(commands.set_schedule(inst, DB, cron=text, actor="ada")),
    "a time zone": lambda inst, text: void(commands.set_schedule(inst, DB, time_zone=text, actor="ada")),
    "a review's note": lambda inst, text: commands.write_review_note(inst, "this", text, actor="ada").text,
    "an action item": lambda inst, text: commands.add_action_item(inst, "this", text, owner="o", actor="ada").text,
    "its owner": lambda inst, text: commands.add_action_item(inst, "this", "x", owner=text, actor="ada").owner,
    "an alert": lambda inst, text: void(commands.acknowledge_alert(inst, text, note=text, actor="ada")),
    "a base backup's name": lambda inst, text: void(
        commands.submit_base_backup(inst, DB, name=text, note=text, actor="ada", queue=False)
    ),
}


def void(_: object) -> None:
    return None


@pytest.fixture(scope="module")
def inst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = make_installation(tmp_path_factory.mktemp("hostile"), web=WebSettings(commands_per_minute=100_000))
    yield made
    made.close()


def attempt(inst: Installation, command: str, text: str) -> str:
    """Give the command; return how it ended. Fail for anything that is neither a refusal nor the text, stored."""
    refusal, stored = "", None
    try:
        stored = COMMANDS[command](inst, text)
    except BackupsError as error:
        refusal = str(error)
    assert len(refusal) < 12_000, "a refusal does not repeat what has no end"
    assert stored is None or stored.split() == text.split(), f"{command}: all but white space is as it was written"
    return "refused" if refusal else "stored"


@settings(max_examples=int(os.environ.get("HOSTILE_EXAMPLES", "300")))
@given(command=st.sampled_from(sorted(COMMANDS)), text=HOSTILE)
def test_each_text_is_stored_as_it_is_or_refused(inst: Installation, command: str, text: str) -> None:
    attempt(inst, command, text)


def test_what_is_known_to_do_harm_elsewhere_does_none_on_postgresql(
    tmp_path: Path, server18: LocalServer, database: NewDatabase
) -> None:
    url = database(server18).url().get_secret_value()
    inst = make_installation(tmp_path, web=WebSettings(commands_per_minute=100_000), catalog_url=SecretStr(url))
    texts = [text for text in KNOWN if text in (*SQL, *UNICODE) or "\0" in text or len(text) == 2001]
    ended = [attempt(inst, command, text) for command in ("its note", "its reason", "a run") for text in texts]
    assert {"stored", "refused"} == set(ended)
    assert len(ended) == 3 * len(texts) > 90
    inst.close()
