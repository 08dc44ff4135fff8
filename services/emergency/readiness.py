"""Whether read-only mode would work on the hard day: asked on a quiet one, by ``backups doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from services.emergency.commands import why_not_run
from services.emergency.read_only import read_facts, shortcomings, visit
from services.emergency.switch import refuse_own_catalog, refuse_switch
from services.installation import Installation
from services.settings.model import DatabaseSettings


def is_prepared(database: DatabaseSettings) -> bool:
    """Say whether anything is set for read-only mode; if not, nothing is missed."""
    return database.owner_url is not None or bool(database.read_only_on_command)


def check_readiness(
    installation: Installation, database: DatabaseSettings
) -> Iterator[tuple[Literal["ok", "warning", "failed"], str, str]]:
    """Look whether we could switch the database, and whether the application's programs are there. Switch nothing.

    Raise BackupsError for what stands in the way; where nothing is set for the mode, only that its own catalogue does.
    """
    with visit(database) as connection:
        facts = read_facts(connection, database)
    refuse_own_catalog(installation, database, facts)
    if not is_prepared(database):
        yield "ok", "The catalogue of backups does not lie in it.", ""
        return
    refuse_switch(database, facts)
    yield "ok", f"{facts.user} may switch it to read-only mode.", ""
    for message, hint in shortcomings(facts):
        yield "warning", message, hint
    for command in (database.read_only_on_command, database.read_only_off_command):
        if command and (why := why_not_run(command)):
            yield "failed", why, "Mend the program, or give its full path in the settings."
