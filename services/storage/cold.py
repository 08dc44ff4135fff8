"""Cold storage: moving an object to another storage class where it lies, and thawing one that is frozen.

S3 has both; a local folder has neither. An object is moved by a copy onto itself within the storage, so that its bytes
never travel through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from services.errors import NoStorageClass
from services.settings.model import StorageSettings
from services.storage.classes import cold_classes
from services.storage.protocol import Storage, StoredObject

if TYPE_CHECKING:
    from services.storage.s3 import S3Storage

_RESTORE = re.compile(r'ongoing-request="(?P<ongoing>true|false)"(?:,\s*expiry-date="(?P<until>[^"]+)")?')


@dataclass(frozen=True)
class ThawState:
    """How far a frozen object is on its way to being readable."""

    asked: bool
    readable: bool
    until: datetime | None = None
    """When it freezes again."""

    @classmethod
    def of(cls, stored: StoredObject) -> ThawState:
        """Given what ``stat`` said of a frozen object, return its state."""
        found = _RESTORE.match(stored.thaw)
        if found is None:
            return cls(asked=False, readable=False)
        if found["ongoing"] == "true":
            return cls(asked=True, readable=False)
        until = parsedate_to_datetime(found["until"]).astimezone(UTC) if found["until"] else None
        return cls(asked=True, readable=True, until=until)


def refuse_class(settings: StorageSettings, storage_class: str) -> None:
    """Raise NoStorageClass unless the storage has this colder class, as far as is known without asking it."""
    there = cold_classes(settings)
    if storage_class in there:
        return
    if settings.is_local:
        raise NoStorageClass(
            f"The storage {settings.name} is a folder; it has no storage classes.",
            hint="Archive to a storage on S3 or R2. Nothing was changed.",
        )
    if there:
        raise NoStorageClass(
            f"The storage {settings.name} has no class {storage_class}; it has {', '.join(there)}.",
            hint="Choose one of these with --class. Nothing was changed.",
        )
    raise NoStorageClass(
        f"Whether the storage {settings.name} has colder storage classes is not known: its server is neither Amazon's "
        "nor R2.",
        hint='If it has any, name them in its settings: storage_classes = ["GLACIER"]. Nothing was changed.',
    )


def try_class(storage: Storage, settings: StorageSettings, storage_class: str) -> None:
    """Make sure that a server of which only the settings say what it has takes the class, with a small object.

    Amazon and R2 are not tried: what lies in a cold class for a minute is billed for months. Raise NoStorageClass,
    StorageError.
    """
    refuse_class(settings, storage_class)
    if settings.storage_classes is not None:
        from services.storage.s3_cold import probe_class

        probe_class(_s3(storage), storage_class)


def move_to_class(
    storage: Storage,
    key: str,
    storage_class: str,
    *,
    progress: Callable[[int], None],
    check_cancelled: Callable[[], None],
) -> StoredObject:
    """Move an object to a storage class by a copy onto itself; return it as it lies there afterwards.

    Raise NoStorageClass when the server does not have the class (nothing is changed then), CorruptBackup when what lies
    there afterwards is not what was there before, ObjectMissing, NotThawed, StorageError, and what ``check_cancelled``
    raises.
    """
    from services.storage.s3_cold import copy_onto_itself

    return copy_onto_itself(_s3(storage), key, storage_class, progress, check_cancelled)


def request_thaw(storage: Storage, key: str, *, days: int, tier: str) -> None:
    """Ask for a frozen object to be readable for some days; one that is thawed already stays so for longer.

    Raise StorageError.
    """
    from services.storage.s3_cold import restore_object

    restore_object(_s3(storage), key, days, tier)


def _s3(storage: Storage) -> S3Storage:
    # Imported late here and above: boto3 costs a quarter of a second.
    from services.storage.s3 import S3Storage

    if not isinstance(storage, S3Storage):
        raise NoStorageClass(f"The storage {storage.name} is a folder; it has no storage classes.")
    return storage
