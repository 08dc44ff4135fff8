"""What is going to be stored, where and how: settled before anything is started, for a backup and for an adoption."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.backups.naming import attempt_name, check_name, default_name, manifest_key, object_key
from services.backups.taken import free_name, refuse_taken
from services.errors import InputError
from services.installation import Installation
from services.settings.model import DatabaseSettings, Settings
from services.storage.protocol import Storage


@dataclass(frozen=True)
class Plan:
    """A backup that is going to be stored."""

    database: DatabaseSettings
    storage: Storage
    name: str
    key: str
    manifest_key: str
    level: int
    recipients: tuple[str, ...]
    """Age public keys; empty: not encrypted."""
    started_at: datetime
    jobs: int = 1
    """Sessions that dump at the same time; 1: one stream in custom format, more: directory format, spooled."""

    @property
    def format(self) -> str:
        return "directory" if self.jobs > 1 else "custom"


def plan_backup(
    installation: Installation,
    database: str,
    *,
    attempt: int,
    name: str | None = None,
    encrypt: bool | None = None,
    level: int | None = None,
    jobs: int = 1,
    default: str | None = None,
) -> Plan:
    """Return the plan of a run's ``attempt``; None stands for the moment's name and for the database's settings.

    ``default`` is the name where none is given and it is not to be the runbook's.

    Raise UnknownName, InvalidName, AlreadyExists for a given name that is taken, InputError, StorageError.
    """
    policy = installation.settings.database(database)
    storage = installation.storage(installation.settings.storages_of(policy)[0].name)
    recipients = choose_recipients(installation.settings, policy, encrypt=encrypt)
    now = installation.clock()
    if name is None:
        name = free_name(
            installation, policy.name, attempt_name(default or default_name(policy.name, now), attempt), storage
        )
    else:
        name = attempt_name(check_name(name), attempt)
        refuse_taken(installation, policy.name, name, storage)
    return Plan(
        database=policy,
        storage=storage,
        name=name,
        key=object_key(policy.name, name, compression="tar" if jobs > 1 else "zstd", encrypted=bool(recipients)),
        manifest_key=manifest_key(policy.name, name),
        level=level or policy.compression_level,
        recipients=recipients,
        started_at=now,
        jobs=jobs,
    )


def choose_recipients(settings: Settings, policy: DatabaseSettings, *, encrypt: bool | None = None) -> tuple[str, ...]:
    """Return whom a backup is encrypted to, nobody when it is not; ``encrypt`` None: as the database's settings say.

    Raise InputError when it is to be encrypted and there is no recipient.
    """
    if not (policy.encrypt if encrypt is None else encrypt):
        return ()
    if not settings.recipients:
        raise InputError(
            "The backup is to be encrypted, and no recipient is set.",
            hint="Run `backups keygen` and set BACKUP_RECIPIENTS, or back up without encryption.",
        )
    return settings.recipients
