"""Whether read-only mode would work on the hard day: asked on a quiet one, by ``backups doctor``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Literal

from services.emergency.commands import SEARCH_PATH
from services.emergency.read_only import read_facts, visit
from services.emergency.switch import refuse_switch
from services.settings.model import DatabaseSettings


def is_prepared(database: DatabaseSettings) -> bool:
    """Say whether anything is set for read-only mode; if not, nothing is missed."""
    return database.owner_url is not None or bool(database.read_only_on_command)


def check_readiness(database: DatabaseSettings) -> Iterator[tuple[Literal["ok", "warning", "failed"], str, str]]:
    """Look whether we could switch the database, and whether the application's programs are there. Switch nothing.

    Raise BackupsError for what stands in the way.
    """
    with visit(database) as connection:
        facts = read_facts(connection, database)
    refuse_switch(database, facts)
    yield "ok", f"{facts.user} may switch it to read-only mode.", ""
    if facts.overriding:
        names = ", ".join(facts.overriding)
        yield (
            "warning",
            f"Roles whose own setting lets them write all the same: {names}.",
            "ALTER ROLE … RESET default_transaction_read_only.",
        )
    for command in (database.read_only_on_command, database.read_only_off_command):
        if command and shutil.which(command[0], path=SEARCH_PATH) is None:
            yield "failed", f"There is no program {command[0]} in {SEARCH_PATH}.", "Give its full path in the settings."
