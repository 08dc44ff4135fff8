"""What can be set, with its defaults. Read by ``services.settings.load``; nobody else sees a raw dictionary."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from services.names import unknown_name
from services.retention.policy import MOST, RetentionPolicy

T = TypeVar("T")

NAME_RULE = "1 to 63 characters: letters, digits, '_', '-' and '.', starting with a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_LENGTH = re.compile(r"(\d+)\s*(s|min|h|d|w)\Z")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)\Z")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

VerificationLevel = Literal["stored", "checksum", "archive", "restore"]


def is_name(text: str) -> bool:
    """Say whether the text may name a database or a storage (see NAME_RULE)."""
    return bool(_NAME.match(text)) and ".." not in text


def parse_duration(text: object) -> object:
    """Given ``24h``, ``30min`` or ``35d``, return the timedelta; anything else goes on to pydantic."""
    if isinstance(text, str):
        found = _LENGTH.match(text.strip())
        if not found:
            raise ValueError("write a number and a unit: 30min, 24h, 35d")
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    return text


def parse_size(text: object) -> object:
    """Given ``500MB`` or ``2 TB`` (decimal units), return bytes; a plain number is bytes already."""
    if isinstance(text, str):
        if text.strip().isdigit():
            return int(text)
        found = _SIZE.match(text.strip())
        if not found:
            raise ValueError("write a number and a unit: 500MB, 2TB")
        return int(float(found[1]) * _BYTES[found[2]])
    return text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StorageSettings(_Strict):
    """One place where backups are stored."""

    name: str
    url: str
    """``file:///absolute/folder`` or ``s3://bucket/prefix``."""
    endpoint_url: str | None = None
    """For R2, MinIO and others; None is AWS itself."""
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    limit_bytes: Annotated[Size | None, Field(gt=0)] = None
    """What may be stored here; None: whatever the disk has (local) or no limit (S3)."""
    timeout: Duration = timedelta(seconds=60)
    """The longest silence of the storage that is waited for."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError(NAME_RULE)
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if re.match(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?\Z", value):
            return value.rstrip("/")
        if value.startswith("file:///") and len(value) > len("file:///"):
            return value.rstrip("/")
        raise ValueError("write file:///absolute/folder or s3://bucket/prefix")

    @property
    def is_local(self) -> bool:
        return self.url.startswith("file://")


_Periods = Annotated[int, Field(strict=True, ge=0, le=MOST)]


class RetentionSettings(_Strict):
    """Numbers of a retention policy, of all databases or of one. None: those of the policy that these stand over."""

    daily: _Periods | None = None
    """The newest good backup of so many days is kept; weekly, monthly and yearly likewise."""
    weekly: _Periods | None = None
    monthly: _Periods | None = None
    yearly: _Periods | None = None
    minimum: Annotated[int, Field(strict=True, ge=1, le=MOST)] | None = None
    """So many of the newest good backups are kept whatever the tiers say."""
    partial_age: Duration | None = None
    """How long a partial backup is kept."""

    def over(self, policy: RetentionPolicy) -> RetentionPolicy:
        """Return the policy with what is set here. Raise InputError when nothing but zeros is left."""
        return replace(policy, **{name: value for name, value in self if value is not None})


class DatabaseSettings(_Strict):
    """One database under protection, with its policy."""

    name: str
    url: SecretStr
    """``postgresql://user:password@host:5432/dbname?sslmode=require``; holds a password, so it is secret."""
    storages: tuple[str, ...] = ()
    """Names of storages. Empty: the first storage of the settings. Backups are written to the first one alone; the
    others are read from where they hold a copy, and nothing is copied to them by itself."""
    rpo: Duration = timedelta(hours=24)
    """The oldest that the last good backup may be."""
    rto: Duration = timedelta(hours=1)
    """The longest that a restore may take."""
    restore_test_max_age: Duration = timedelta(days=35)
    """The oldest that the last passed restore test may be."""
    compression_level: Annotated[int, Field(ge=1, le=19)] = 3
    encrypt: bool = True
    exclude_tables: tuple[str, ...] = ()
    """pg_dump patterns; a backup without these tables is partial and never counts as whole."""
    hash_limit: Annotated[Size, Field(ge=0)] = 50 * 10**9
    """Tables larger than this are fingerprinted by count only. 0: counts only."""
    verify_after: Literal["stored", "checksum", "archive"] = "checksum"
    """Level of the verification that ends every backup."""
    restore_test_on_source_server: bool = False
    """Allow the scratch database of a restore test on the source's own server."""
    lock_timeout: Duration = timedelta(minutes=2)
    """The longest that the dump waits for a table lock."""
    stall_timeout: Duration = timedelta(minutes=10)
    """The longest that a run may go on without a byte of progress."""
    paused: bool = False
    retention: RetentionSettings = RetentionSettings()
    """What differs from the policy of all databases."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError(NAME_RULE)
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: SecretStr) -> SecretStr:
        if not re.match(r"postgres(ql)?://", value.get_secret_value()):
            raise ValueError("write postgresql://user:password@host:5432/dbname")
        return value


class Settings(_Strict):
    """The whole configuration of an installation."""

    home: Path
    """Where the product keeps what is its own: catalogue, spool, scratch server."""
    catalog_url: SecretStr
    """SQLAlchemy URL, ``sqlite:////path`` or ``postgresql+psycopg://…``."""
    databases: tuple[DatabaseSettings, ...]
    storages: tuple[StorageSettings, ...]
    recipients: tuple[str, ...] = ()
    """age public keys (``age1…``) to which every backup is encrypted."""
    encryption_key: SecretStr | None = None
    """An age secret key (``AGE-SECRET-KEY-1…``), needed to verify deeply and to restore."""
    signing_key: SecretStr | None = None
    """Base64 of a 32-byte Ed25519 seed; None: derived from ``encryption_key`` where that is given."""
    trusted_signers: tuple[str, ...] = ()
    """Base64 Ed25519 public keys whose manifests are believed, beside our own."""
    restore_test_url: SecretStr | None = None
    """Server for scratch databases; None: the embedded server."""
    pg_bin_dirs: tuple[Path, ...] = ()
    """Folders with PostgreSQL client programs, looked into first."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Runs that one worker works on at the same time (never two on one database)."""
    sample: bool = False
    """True in the sample environment: every page says so."""
    retention: RetentionSettings = RetentionSettings()
    """The retention policy of every database that sets none of its own."""

    def database(self, name: str) -> DatabaseSettings:
        """Return the database of that name. Raise UnknownName with what comes close."""
        return _find("database", name, {d.name: d for d in self.databases})

    def storage(self, name: str) -> StorageSettings:
        """Return the storage of that name. Raise UnknownName with what comes close."""
        return _find("storage", name, {s.name: s for s in self.storages})

    def retention_of(self, database: DatabaseSettings) -> RetentionPolicy:
        """Return a database's retention policy: its own numbers over those of all over the runbook's."""
        return database.retention.over(self.retention.over(RetentionPolicy()))

    def storages_of(self, database: DatabaseSettings) -> tuple[StorageSettings, ...]:
        """Return the storages of a database, the primary one first."""
        if not database.storages:
            return self.storages[:1]
        return tuple(self.storage(name) for name in database.storages)


def _find(what: str, name: str, known: dict[str, T]) -> T:
    if name in known:
        return known[name]
    raise unknown_name(what, name, known)
