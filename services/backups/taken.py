"""Which names of backups are taken: those of the catalogue, and those of objects that it may know nothing of."""

from __future__ import annotations

import itertools

from services.backups.naming import is_key_of
from services.errors import AlreadyExists
from services.installation import Installation
from services.storage.protocol import Storage


def is_taken(installation: Installation, database: str, name: str, storage: Storage | None = None) -> bool:
    """Say whether the database has, or had, a backup of that name, or ``storage`` an object of one."""
    if installation.catalog.backups.exists(database, name):
        return True
    return storage is not None and any(
        is_key_of(entry.key, database, name) for entry in storage.list(f"{database}/{name}.")
    )


def refuse_taken(installation: Installation, database: str, name: str, storage: Storage | None = None) -> None:
    """Raise AlreadyExists when the name is taken; without a ``storage`` the catalogue alone is asked."""
    if is_taken(installation, database, name, storage):
        raise AlreadyExists(f"{database} already has a backup called {name}.", hint="Choose another name.")


def free_name(installation: Installation, database: str, name: str, storage: Storage) -> str:
    """Return the name, or with ``-2``, ``-3``, … where another backup began in the same second."""
    candidates = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(each for each in candidates if not is_taken(installation, database, each, storage))
