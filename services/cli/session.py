"""What every command needs: the installation, who asks, and what is meant by a name."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from services.access.identity import this_process
from services.access.table import COMMAND_LINES
from services.catalog.model import Backup
from services.cli.app import command_line
from services.cli.output import note, stderr
from services.commands.gate import Wish, admit
from services.errors import InputError, UnknownName
from services.installation import Installation, open_installation
from services.settings.model import DatabaseSettings

logger = logging.getLogger(__name__)

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON: stable keys, UTC times, bytes and seconds.")]
DatabaseOption = Annotated[str | None, typer.Option("--database", "-d", metavar="DATABASE", help="Only this database.")]
WaitForThaw = Annotated[
    bool, typer.Option("--wait-for-thaw", help="Have a copy in cold storage thawed, and wait for it, hours perhaps.")
]
StorageOption = Annotated[str | None, typer.Option("--storage", metavar="STORAGE", help="The copy in this storage.")]


@contextmanager
def opened(*, quiet: bool = False) -> Iterator[Installation]:
    """Open the installation that the environment names, and close it afterwards. Raise SettingsError, BackupsError.

    Without any configuration it is the sample environment, which standard error says unless ``quiet``. Raise
    NotPermitted when this user may not run this command (``services.access.table``).
    """
    if sys.stderr.isatty():
        with stderr().status("Opening…"):  # the first start of the sample environment takes some seconds
            installation = open_installation(os.environ)
    else:
        installation = open_installation(os.environ)
    try:
        if installation.settings.sample and not quiet:
            note("Sample environment: set DATABASE_URL or BACKUPS_CONFIG for databases of your own.")
        refuse_unless_permitted(installation)
        yield installation
    finally:
        installation.close()


def release_what_is_due(installation: Installation) -> None:
    """Put back the settings of read-only modes that a process which is gone has left, lest that waits for a worker.

    For commands that are about to act. The application's command is the guardian's, a worker's, and a person's: it may
    take minutes, and needs variables that a shell may not have. Never raises: what was asked for is another matter.
    """
    try:
        if installation.catalog.read_only_modes.unreleased():
            from services.emergency.release import release_due  # seldom needed, and brings psycopg along

            for mode in release_due(installation, by=actor(), with_command=False):
                note(f"Read-only mode of {mode.database} is released: its run is gone, or its limit has passed.")
    except Exception:
        logger.exception("read-only modes could not be looked at")


def refuse_unless_permitted(installation: Installation) -> None:
    """Refuse the command that runs before it begins. Raise NotPermitted."""
    line = command_line()
    permission = COMMAND_LINES.get(line, "read")
    if permission is not None:
        admit(installation, Wish(permission, actor(), line))


def actor() -> str:
    """Return who asks, for the records and for what they may: ``cli:user@host``."""
    return this_process()


def chosen_database(installation: Installation, name: str | None) -> DatabaseSettings:
    """Return the database of that name, or the only one. Raise UnknownName, InputError when there are several."""
    settings = installation.settings
    if name is not None:
        return settings.database(name)
    if len(settings.databases) == 1:
        return settings.databases[0]
    known = ", ".join(database.name for database in settings.databases)
    raise InputError("Which database?", hint=f"There are {known}.")


def chosen_backups(installation: Installation, text: str | None, database: str | None) -> list[Backup]:
    """Return the backup that is named, or the newest good one of the database, or of each database.

    Raise UnknownName when there is none.
    """
    catalog = installation.catalog
    if database is not None:
        installation.settings.database(database)
    if text is not None:
        return [catalog.backups.find(text, database=database)]
    names = [database] if database else [d.name for d in installation.settings.databases]
    found = [backup for name in names if (backup := catalog.backups.latest_good(name)) is not None]
    if not found:
        raise UnknownName(f"There is no good backup of {' or '.join(names)} yet.", hint="Run `backups create`.")
    return found
