"""What can be set, with its defaults. Read by ``services.settings.load``; nobody else sees a raw dictionary."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from services.errors import InputError
from services.names import unknown_name
from services.retention.policy import MOST, RetentionPolicy
from services.schedules.cron import check_cron, check_time_zone
from services.settings.access import AccessSettings
from services.settings.lengths import parse_duration, parse_size
from services.settings.web import WebSettings

T = TypeVar("T")

NAME_RULE = "1 to 63 characters: letters, digits, '_', '-' and '.', starting with a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\Z")

COLD_CLASSES = ("INTELLIGENT_TIERING", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""Amazon's storage classes that are colder than the standard one, the warmest first."""

DEFAULT_QUEUE = "default"
"""Of databases that name none, and of what belongs to no database: the janitor, cleanups, health checks."""

MOST_JOBS = 16
"""The most sessions of one dump: each is a session of the source's server, and a table is never shared by two."""

LONGEST_UNASKED_LOCK = 30
"""Days. A lock cannot be taken back, so a longer one must be written down."""

VerificationLevel = Literal["stored", "checksum", "archive", "restore"]


def is_name(text: str) -> bool:
    """Say whether the text may name a database or a storage (see NAME_RULE)."""
    return bool(_NAME.match(text)) and ".." not in text


def _cron(line: str) -> str:
    try:
        return check_cron(line)
    except InputError as error:
        raise ValueError(error.message.rstrip(".")) from error


def _time_zone(name: str) -> str:
    try:
        return check_time_zone(name)
    except InputError as error:
        raise ValueError(f"{error.message} {error.hint}".rstrip(".?")) from error


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
CronLine = Annotated[str, AfterValidator(_cron)]
"""Five fields; ``""`` and ``off`` mean none."""
TimeZone = Annotated[str, AfterValidator(_time_zone)]


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
    warn_percent: Annotated[int, Field(ge=1, le=100)] = 80
    """From this share of what fits on, the storage counts as nearly full."""
    storage_classes: tuple[str, ...] | None = None
    """Colder storage classes that this server has; None: as its endpoint says (``services.storage.classes``)."""
    timeout: Duration = timedelta(seconds=60)
    """The longest silence of the storage that is waited for."""
    delete_access_key_id: str | None = None
    """A second credential, used by deletions alone; then the first one need not be able to delete (S3)."""
    delete_secret_access_key: SecretStr | None = None
    object_lock: Literal["governance", "compliance", "none"] | None = None
    """Whether each backup is locked here for its minimum keep time, and how strictly (S3 with object lock). ``none``:
    it is known that nothing is locked, and nobody needs to be told."""
    lock_for: Annotated[Duration | None, Field(ge=timedelta(hours=1), le=timedelta(days=3660))] = None
    """How long; None: as many days as the retention policy's daily tier keeps, 1 to 30."""
    presigned_downloads: bool = True
    """Whether a browser may fetch a backup from this bucket itself, by a presigned URL; else through the dashboard."""
    shared: bool = False
    """Whether a local folder is the same one on every machine (a network file system)."""

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

    @field_validator("storage_classes")
    @classmethod
    def _storage_classes(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [name for name in value or () if name not in COLD_CLASSES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no storage class; known: {', '.join(COLD_CLASSES)}")
        return value

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


class PitrSettings(_Strict):
    """Point in time: whether and how a database's write-ahead log is archived, and how far back it reaches."""

    enabled: bool = False
    method: Literal["archive_command", "receiver"] = "archive_command"
    """``archive_command``: the server calls ``backups pitr wal-push``; ``receiver``: the worker runs pg_receivewal."""
    window: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3660))] = timedelta(days=14)
    """How far back a restore to a point in time is to reach."""
    base_interval: Annotated[Duration, Field(ge=timedelta(hours=1))] = timedelta(days=1)
    """How often a base backup is taken: what lies between two is replayed from the log."""
    rpo: Annotated[Duration, Field(ge=timedelta(seconds=30))] = timedelta(minutes=15)
    """How old the newest archived log may be while there is some that is not archived."""
    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] = "backups_wal"
    """The replication slot of the receiver."""
    slot_lag: Annotated[Size, Field(gt=0)] = 5 * 10**9
    """What a slot may hold back on the server's disk before it alerts."""
    spool_limit: Annotated[Size, Field(ge=64 << 20)] = 2 * 10**9
    """What the receiver may keep on the worker's disk while the storage is away; then it stops, and the slot holds the
    log on the server."""
    storage: str | None = None
    """Where the log goes; None: the database's primary storage."""
    system_identifier: Annotated[str | None, Field(pattern=r"^\d{1,20}$")] = None
    """The cluster whose log is taken; None: that of the first file."""
    push_limit: Annotated[Duration, Field(ge=timedelta(seconds=10))] = timedelta(minutes=5)
    """The longest that storing one file may take; PostgreSQL then tries again."""
    check_within: Annotated[Duration, Field(ge=timedelta(hours=1))] = timedelta(days=7)
    """Within how long a worker reads all of the stored log again, and each base backup."""


class DatabaseSettings(_Strict):
    """One database under protection, with its policy."""

    name: str
    url: SecretStr
    """``postgresql://user:password@host:5432/dbname?sslmode=require``; holds a password, so it is secret."""
    storages: tuple[str, ...] = ()
    """Names of storages, the primary one first. Empty: the first storage of the settings alone. A backup is written to
    the primary one, and copied from there to the others once it is finished."""
    rpo: Duration = timedelta(hours=28)
    """The oldest that the last good backup may be, counted from its snapshot. The default is what the default schedule
    promises: a day, and the four hours of its deadline. With 24 h each backup that begins or takes a minute longer
    than yesterday's would breach it, and so would the hour by which a day is longer when summer time ends."""
    rto: Duration = timedelta(hours=1)
    """The longest that a restore may take."""
    restore_test_max_age: Duration = timedelta(days=35)
    """The oldest that the last passed restore test may be."""
    compression_level: Annotated[int, Field(ge=1, le=19)] = 3
    encrypt: bool = True
    exclude_tables: tuple[str, ...] = ()
    """pg_dump patterns; a backup without these tables is partial and never counts as whole."""
    exclude_table_data: tuple[str, ...] = ()
    """pg_dump patterns of tables that are backed up without their rows; such a backup is partial, too."""
    jobs: Annotated[int, Field(ge=1, le=MOST_JOBS)] = 1
    """Sessions that dump at the same time: 1 streams, more spool (docs/large-databases.md)."""
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
    queue: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")] = DEFAULT_QUEUE
    """Which workers work on its runs: those that serve this queue (``backups worker --queues``)."""
    paused: bool = False
    schedule: CronLine = "0 2 * * *"
    """When it is backed up."""
    schedule_time_zone: TimeZone = "UTC"
    """What the times of this database's schedules mean."""
    schedule_deadline: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=31))] = timedelta(hours=4)
    """The latest that a good backup may be finished after it was due."""
    restore_test_schedule: CronLine = "0 5 1 * *"
    """When a random good backup of last month is restore-tested."""
    verification_schedule: CronLine = ""
    """When the good backup that was looked at longest ago is read to its end; beside the check after each backup."""
    retention: RetentionSettings = RetentionSettings()
    """What differs from the policy of all databases."""
    pitr: PitrSettings = PitrSettings()
    owner_url: SecretStr | None = None
    """The same database, as its owner or a superuser: to switch it to read-only mode. None: ``url``, if that may."""
    read_only_limit: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = timedelta(minutes=30)
    """The longest that an emergency backup may hold the database in read-only mode."""
    read_only_on_command: tuple[str, ...] = ()
    """A program and its arguments (never a shell) that tells the application to stop writing. Done again it must do no
    harm; likewise the next one, which allows it to write again."""
    read_only_off_command: tuple[str, ...] = ()
    read_only_command_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = (
        timedelta(minutes=1)
    )
    """The longest that one of the two may take."""
    read_only_command_environment: tuple[str, ...] = ()
    """Names of the environment variables that they are given; of ours they see nothing else."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError(NAME_RULE)
        return value

    @field_validator("url", "owner_url")
    @classmethod
    def _url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"postgres(ql)?://", value.get_secret_value()):
            raise ValueError("write postgresql://user:password@host:5432/dbname")
        return value


class AlertSettings(_Strict):
    """Who is told what is wrong, and from when on something counts as wrong. See docs/alerts.md."""

    email: tuple[str, ...] = ()
    """Addresses that get a mail for each alert; needs ``smtp_url``."""
    smtp_url: SecretStr | None = None
    """``smtp://user:password@host:587`` (STARTTLS), ``smtps://…:465``; ``?tls=no`` for a relay on this machine."""
    slack: SecretStr | None = None
    """A Slack webhook, ``https://hooks.slack.com/services/…``: whoever has it can post, so it is secret."""
    urls: tuple[SecretStr, ...] = ()
    """Any Apprise URLs."""
    heartbeat_url: SecretStr | None = None
    """An outside watchdog's ping address; ``/fail`` is added while something is wrong."""
    heartbeat_every: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(minutes=5)
    dashboard_url: str | None = None
    """Where people reach the dashboard: messages link to it."""
    remind_after: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(days=1)
    """An open alert that nobody acknowledged is sent again after this time."""
    hold: Annotated[Duration, Field(ge=timedelta(0))] = timedelta(minutes=5)
    """How long something must be well again before its alert resolves."""
    give_up_after: Annotated[Duration, Field(ge=timedelta(hours=1))] = timedelta(days=3)
    """How long a message that no server takes is tried again."""
    storage_warning: Annotated[int, Field(ge=1, le=100)] = 80
    """Percent of a storage from which on it counts as filling up."""
    storage_failure: Annotated[int, Field(ge=1, le=100)] = 95
    size_drop: Annotated[int, Field(ge=1, le=99)] = 30
    """Percent by which a backup may be smaller than the median of the seven good ones before it."""
    size_growth: Annotated[float, Field(gt=1)] = 2.0
    """How many times that median it may have."""
    duration_growth: Annotated[float, Field(gt=1)] = 2.0
    """How many times the median duration of those seven it may take."""
    verify_within: Duration = timedelta(days=1)
    """The longest that the newest backup may stay without a verification."""
    queue_wait: Duration = timedelta(hours=1)
    """The longest that a run may wait in the queue."""

    @field_validator("email")
    @classmethod
    def _email(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not _ADDRESS.match(address) for address in value):
            raise ValueError("write addresses such as ops@example.com, separated by commas")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(
            r"smtps?://([^@/]+@)?[^@/:?]+|smtps?://([^@/]+@)?\[", value.get_secret_value()
        ):
            raise ValueError("write smtp://user:password@host:587 or smtps://user:password@host:465")
        return value

    @field_validator("slack")
    @classmethod
    def _slack(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip().lower() if value is not None else ""
        if text in ("", "false", "no", "0", "off"):
            return None
        if not re.match(r"https://hooks\.slack(-gov)?\.com/services/[^/]+/[^/]+/[^/]+", text):
            raise ValueError("a webhook's URL is needed, not a yes: make one in Slack under Incoming Webhooks")
        return value

    @field_validator("urls")
    @classmethod
    def _urls(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not re.match(r"[a-z][a-z0-9+.-]*://.", url.get_secret_value(), re.IGNORECASE) for url in value):
            raise ValueError("write Apprise URLs such as ntfy://topic, separated by spaces")
        return value

    @field_validator("heartbeat_url", "dashboard_url")
    @classmethod
    def _web(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is not None and not re.match(r"https?://[^/\s]", text):
            raise ValueError("write an http:// or https:// address")
        return value

    @model_validator(mode="after")
    def _together(self) -> AlertSettings:
        if self.email and self.smtp_url is None:
            raise ValueError("email needs a mail server: set smtp_url (BACKUP_SMTP_URL)")
        if self.storage_failure < self.storage_warning:
            raise ValueError("storage_failure lies below storage_warning")
        return self


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
    old_encryption_keys: tuple[SecretStr, ...] = ()
    """age secret keys of before a rotation: what is still encrypted to them, or was signed with them, is read so."""
    key_names: dict[str, str] = Field(default_factory=dict)
    """What people call a recipient (by its public key): where its secret key is kept, say."""
    key_drill_every: Annotated[Duration, Field(ge=timedelta(days=1))] = timedelta(days=90)
    """How often somebody is to prove that the offline recovery key is still at hand and opens a backup."""
    two_person: tuple[Literal["delete", "restore"], ...] = ()
    """What a second person has to approve before it starts."""
    signing_key: SecretStr | None = None
    """Base64 of a 32-byte Ed25519 seed; None: derived from ``encryption_key`` where that is given."""
    installation_key: Annotated[SecretStr | None, Field(min_length=32)] = None
    """Seals the audit log and signs download links; None: ``installation.key`` in ``home`` (``services.own_key``)."""
    trusted_signers: tuple[str, ...] = ()
    """Base64 Ed25519 public keys whose manifests are believed, beside our own."""
    restore_test_url: SecretStr | None = None
    """Server for scratch databases; None: the embedded server."""
    pg_bin_dirs: tuple[Path, ...] = ()
    """Folders with PostgreSQL client programs, looked into first."""
    spool: Annotated[Path, AfterValidator(Path.absolute)] | None = None
    """Where parallel dumps and restores work; None: ``spool`` in ``home``."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Runs that one worker works on at the same time (never two on one database)."""
    sample: bool = False
    """True in the sample environment: every page says so."""
    cleanup_schedule: CronLine = "30 3 * * *"
    """When the retention policy is applied; this and the next two in UTC."""
    janitor_schedule: CronLine = "0 4 * * *"
    """When leftovers are looked for, and removed when older than a day."""
    health_schedule: CronLine = "0 6 * * *"
    """When the health checks are run and reported."""
    slo_target: Annotated[float, Field(gt=0, le=100)] = 99.9
    """Percent of the backup schedules' slots that are to be satisfied within their deadline."""
    alerts: AlertSettings = AlertSettings()
    access: AccessSettings = AccessSettings()
    retention: RetentionSettings = RetentionSettings()
    """The retention policy of every database that sets none of its own."""
    web: WebSettings = WebSettings()

    def secret_keys(self) -> tuple[str, ...]:
        """Return the age secret keys that are at hand, the present one first."""
        present = () if self.encryption_key is None else (self.encryption_key,)
        return tuple(key.get_secret_value().strip() for key in (*present, *self.old_encryption_keys))

    def lock_length(self, storage: StorageSettings, database: str) -> timedelta | None:
        """Return how long a backup of a database is locked in a storage; None where nothing is."""
        if storage.is_local or storage.object_lock in (None, "none"):
            return None
        known = {one.name: one for one in self.databases}
        daily = self.retention_of(known[database]).daily if database in known else 1
        return storage.lock_for or timedelta(days=min(max(1, daily), LONGEST_UNASKED_LOCK))

    def database(self, name: str) -> DatabaseSettings:
        """Return the database of that name. Raise UnknownName with what comes close."""
        return _find("database", name, {d.name: d for d in self.databases})

    def storage(self, name: str) -> StorageSettings:
        """Return the storage of that name. Raise UnknownName with what comes close."""
        return _find("storage", name, {s.name: s for s in self.storages})

    def retention_of(self, database: DatabaseSettings) -> RetentionPolicy:
        """Return a database's retention policy: its own numbers over those of all over the runbook's."""
        return database.retention.over(self.retention.over(RetentionPolicy()))

    def queue_of(self, database: str | None) -> str:
        """Return the queue of a database's runs; what is not, or not any more, in the settings is the default one's."""
        return next((d.queue for d in self.databases if d.name == database), DEFAULT_QUEUE)

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue that there is, the default one first."""
        named = sorted({database.queue for database in self.databases} - {DEFAULT_QUEUE})
        return (DEFAULT_QUEUE, *named)

    def storages_of(self, database: DatabaseSettings) -> tuple[StorageSettings, ...]:
        """Return the storages of a database, the primary one first."""
        if not database.storages:
            return self.storages[:1]
        return tuple(self.storage(name) for name in database.storages)

    def pitr_storage_of(self, database: DatabaseSettings) -> StorageSettings:
        """Return where a database's write-ahead log goes."""
        return self.storage(database.pitr.storage) if database.pitr.storage else self.storages_of(database)[0]


def _find(what: str, name: str, known: dict[str, T]) -> T:
    if name in known:
        return known[name]
    raise unknown_name(what, name, known)
