"""How a fault in the settings is said: its field, what is wrong, an example; never the value, a secret perhaps."""

from __future__ import annotations

from typing import Any

from services.errors import SettingsError
from services.settings.access import VARIABLES

EXAMPLES = {
    "databases.name": "la_factoria",
    "databases.url": "postgresql://backup:password@host:5432/la_factoria?sslmode=require",
    "databases.rpo": "28h",
    "databases.rto": "1h",
    "databases.restore_test_max_age": "35d",
    "databases.compression_level": "3",
    "databases.hash_limit": "50GB",
    "databases.verify_after": "checksum",
    "databases.storages": '["r2", "s3"]',
    **{
        f"{prefix}retention.{field}": example
        for prefix in ("", "databases.")
        for field, example in (
            ("daily", "7"),
            ("weekly", "4"),
            ("monthly", "12"),
            ("yearly", "5"),
            ("minimum", "3"),
            ("partial_age", "30d"),
        )
    },
    "retention": "daily = 7, weekly = 4, monthly = 12, yearly = 5",
    "databases.queue": "default",
    "databases.retention": "daily = 7, weekly = 4, monthly = 12, yearly = 5",
    "databases.pitr.method": "receiver",
    "databases.pitr.window": "14d",
    "databases.pitr.base_interval": "1d",
    "databases.pitr.rpo": "15min",
    "databases.pitr.slot": "backups_wal",
    "databases.pitr.slot_lag": "5GB",
    "databases.pitr.spool_limit": "2GB",
    "databases.pitr.system_identifier": "7436158027694216193",
    "storages.name": "r2",
    "storages.url": "s3://la-factoria-backups/prod",
    "storages.limit_bytes": "500GB",
    "storages.storage_classes": '["GLACIER", "DEEP_ARCHIVE"]',
    "storages.warn_percent": "80",
    "recipients": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    "encryption_key": "AGE-SECRET-KEY-1…, as `backups keygen` makes it",
    "signing_key": "the base64 of 32 random bytes",
    "installation_key": "the base64 of 32 random bytes: `openssl rand -base64 32`",
    "restore_test_url": "postgresql://tester:password@scratch-host:5432/postgres",
    "catalog_url": "sqlite:////var/lib/backups/catalog.db",
    "databases.schedule": "0 2 * * *",
    "databases.schedule_time_zone": "Europe/Berlin",
    "databases.schedule_deadline": "4h",
    "databases.restore_test_schedule": "0 5 1 * *",
    "databases.verification_schedule": "0 5 * * SUN",
    "cleanup_schedule": "30 3 * * *",
    "janitor_schedule": "0 4 * * *",
    "health_schedule": "0 6 * * *",
    "slo_target": "99.9",
    "alerts.email": "ops@example.com",
    "alerts.smtp_url": "smtp://user:password@mail.example.com:587",
    "alerts.slack": "https://hooks.slack.com/services/T…/B…/…",
    "alerts.urls": "ntfy://backups-la-factoria",
    "alerts.heartbeat_url": "https://hc-ping.com/UUID",
    "alerts": "smtp://user:password@mail.example.com:587",
    "web.hosts": '["backups.example.com"]',
    "web.commands_per_minute": "60",
    "databases.owner_url": "postgresql://la_factoria_app:password@host:5432/la_factoria?sslmode=require",
    "databases.read_only_limit": "30min",
    "databases.read_only_on_command": 'both as lists: ["railway", "variable", "set", "READ_ONLY_MODE=true"]',
    "databases.read_only_off_command": '["railway", "variable", "set", "READ_ONLY_MODE=false"]',
    "databases.read_only_command_timeout": "1min",
    "databases.read_only_command_environment": '["RAILWAY_TOKEN", "HOME"]',
    "access.mode": '"oidc", "proxy" or "none"',
    "access.admins": '["mara@example.com", "cli:root@*"]',
    "access.roles": '{ "backup-admins" = "admin", "dba" = "operator" }',
    "access.default_role": "viewer",
    "access.session": "12h",
    "access.url": "https://backups.example.com",
    "access.issuer": "https://accounts.google.com",
    "access.cookie_secret": "what `openssl rand -hex 32` writes",
    "access.proxy_header": "Remote-User",
    "access.proxy_addresses": '["10.0.0.5"]',
}
_ENVIRONMENT_NAMES = {
    **{f"access.{name}": variable for name, variable in VARIABLES.items()},
    "databases.url": "DATABASE_URL",
    "databases.name": "BACKUP_DATABASE_NAME",
    "storages.url": "BACKUP_STORAGE",
    "storages.endpoint_url": "S3_ENDPOINT_URL",
    "recipients": "BACKUP_RECIPIENTS",
    "encryption_key": "BACKUP_ENCRYPTION_KEY",
    "signing_key": "BACKUP_SIGNING_KEY",
    "installation_key": "BACKUPS_INSTALLATION_KEY",
    "restore_test_url": "RESTORE_TEST_URL",
    "catalog_url": "CATALOG_URL",
    "databases.pitr.method": "PITR_METHOD",
    "databases.schedule": "BACKUP_SCHEDULE",
    "databases.schedule_time_zone": "BACKUP_SCHEDULE_TIME_ZONE",
    "databases.owner_url": "BACKUP_OWNER_URL",
    "alerts.email": "BACKUP_ALERT_EMAIL",
    "alerts.smtp_url": "BACKUP_SMTP_URL",
    "alerts.slack": "BACKUP_ALERT_SLACK",
    "alerts.urls": "BACKUP_ALERT_URLS",
    "alerts.heartbeat_url": "BACKUP_HEARTBEAT_URL",
    "alerts": "BACKUP_ALERT_EMAIL",
    "web.hosts": "BACKUPS_HOSTS",
}


def refused(faults: list[str], where: str) -> SettingsError:
    """Return the error that names all faults of the settings in ``where``: a file, or the environment."""
    many = f"{len(faults)} faults" if len(faults) != 1 else "1 fault"
    return SettingsError(
        f"The settings in {where} have {many}: " + " · ".join(faults),
        hint="See docs/settings.md.",
        faults=tuple(faults),
    )


def fault_of(detail: Any, kind: str, label: str, *, from_file: bool) -> str:
    """Given one of pydantic's errors, return ``field: what; for example …``; never the value, a secret perhaps."""
    path = ".".join(str(part) for part in detail["loc"])
    field = f"{kind}.{path}" if kind else path
    shown = _ENVIRONMENT_NAMES.get(field, path) if not from_file else f"{label}.{path}" if label else path
    message = {"missing": "is missing", "extra_forbidden": "is not a setting"}.get(detail["type"], detail["msg"])
    return f"{shown}: {message.removeprefix('Value error, ')}; {example_of(field)}".rstrip("; ")


def example_of(field: str) -> str:
    """Given ``databases.url``, return ``for example postgresql://…``; empty for a field without an example."""
    example = EXAMPLES.get(".".join(part for part in field.split(".") if not part.isdigit()))
    return f"for example {example}" if example else ""
