"""The environment variables that mean something here, and the settings that they make, alone or beside a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from services.errors import InputError
from services.retention.policy import TIERS, RetentionPolicy
from services.settings.access import VARIABLES
from services.settings.faults import EXAMPLES, example_of, refused
from services.settings.keys import public_key_of


class Environment(BaseModel):
    """The environment variables that mean something here, as they are."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    BACKUPS_CONFIG: str | None = None
    BACKUPS_HOME: str = "var"
    DATABASE_URL: str | None = None
    BACKUP_DATABASE_NAME: str | None = None
    BACKUP_STORAGE: str | None = None
    BACKUP_RECIPIENTS: str | None = None
    BACKUP_ENCRYPTION_KEY: str | None = None
    BACKUP_OLD_ENCRYPTION_KEYS: str | None = None
    BACKUP_SIGNING_KEY: str | None = None
    BACKUP_TWO_PERSON: str | None = None
    BACKUP_OBJECT_LOCK: str | None = None
    BACKUP_DELETE_ACCESS_KEY_ID: str | None = None
    BACKUP_DELETE_SECRET_ACCESS_KEY: str | None = None
    BACKUPS_INSTALLATION_KEY: str | None = None
    BACKUP_RETENTION: str | None = None
    BACKUP_OWNER_URL: str | None = None
    RESTORE_TEST_URL: str | None = None
    CATALOG_URL: str | None = None
    BACKUP_SPOOL: str | None = None
    S3_ENDPOINT_URL: str | None = None
    AWS_ENDPOINT_URL_S3: str | None = None
    AWS_ENDPOINT_URL: str | None = None
    AWS_REGION: str | None = None
    AWS_DEFAULT_REGION: str | None = None
    AWS_ACCESS_KEY_ID: str | None = None
    AWS_SECRET_ACCESS_KEY: str | None = None
    AWS_SESSION_TOKEN: str | None = None
    BACKUP_SCHEDULE: str | None = None
    BACKUP_SCHEDULE_TIME_ZONE: str | None = None
    PITR_METHOD: str | None = None
    BACKUP_ALERT_EMAIL: str | None = None
    BACKUP_ALERT_SLACK: str | None = None
    BACKUP_ALERT_URLS: str | None = None
    BACKUP_SMTP_URL: str | None = None
    BACKUP_HEARTBEAT_URL: str | None = None
    BACKUPS_HOSTS: str | None = None
    BACKUPS_LOG_FORMAT: str | None = None
    BACKUPS_ADDRESS: str | None = None
    BACKUPS_PORT: str | None = None
    BACKUP_ACCESS: str | None = None
    BACKUP_ADMINS: str | None = None
    BACKUP_ROLES: str | None = None
    BACKUP_ROLES_CLAIM: str | None = None
    BACKUP_DEFAULT_ROLE: str | None = None
    BACKUP_DASHBOARD_URL: str | None = None
    BACKUP_OIDC_ISSUER: str | None = None
    BACKUP_OIDC_CLIENT_ID: str | None = None
    BACKUP_OIDC_CLIENT_SECRET: str | None = None
    BACKUP_OIDC_CLAIM: str | None = None
    BACKUP_COOKIE_SECRET: str | None = None
    BACKUP_PROXY_HEADER: str | None = None
    BACKUP_PROXY_ADDRESSES: str | None = None
    BACKUP_METRICS_TOKEN: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Environment:
        """Return the given variables; an empty one counts as not given, only BACKUP_RECIPIENTS stays empty.

        Raise SettingsError for what is not UTF-8.
        """
        odd = [name for name in cls.model_fields if re.search("[\ud800-\udfff]", environ.get(name) or "")]
        if odd:  # bytes of another encoding, as Python passes them on: nothing could be done with them
            raise refused([f"{name}: is not UTF-8" for name in odd], "the environment")
        given = {name: environ[name] for name in cls.model_fields if environ.get(name)}
        if not environ.get("BACKUP_RECIPIENTS", "none").strip():
            given["BACKUP_RECIPIENTS"] = ""
        return cls.model_validate(given)


def from_environment(env: Environment, faults: list[str]) -> dict[str, Any]:
    """Return the values of one database and one storage; what is missing is added to ``faults``."""
    url = env.DATABASE_URL or ""
    name = env.BACKUP_DATABASE_NAME or _database_name(url)
    if not name:
        faults.append("BACKUP_DATABASE_NAME: is missing, and DATABASE_URL names no database; for example la_factoria")
    storage: dict[str, Any] = {"name": "primary"}
    if env.BACKUP_STORAGE is None:
        faults.append(f"BACKUP_STORAGE: is missing; for example {EXAMPLES['storages.url']} or file:///var/backups")
    else:
        storage["url"] = env.BACKUP_STORAGE
        if env.BACKUP_STORAGE.startswith("s3://"):
            storage |= {
                "endpoint_url": env.S3_ENDPOINT_URL or env.AWS_ENDPOINT_URL_S3 or env.AWS_ENDPOINT_URL,
                "region": env.AWS_REGION or env.AWS_DEFAULT_REGION,
                "access_key_id": env.AWS_ACCESS_KEY_ID,
                "secret_access_key": env.AWS_SECRET_ACCESS_KEY,
                "session_token": env.AWS_SESSION_TOKEN,
                "delete_access_key_id": env.BACKUP_DELETE_ACCESS_KEY_ID,
                "delete_secret_access_key": env.BACKUP_DELETE_SECRET_ACCESS_KEY,
                "object_lock": env.BACKUP_OBJECT_LOCK,
            }
    values: dict[str, Any] = {"storages": [storage] if "url" in storage else []}
    more = {
        "schedule": env.BACKUP_SCHEDULE,
        "schedule_time_zone": env.BACKUP_SCHEDULE_TIME_ZONE,
        "owner_url": env.BACKUP_OWNER_URL,
    }
    given = {field: text for field, text in more.items() if text is not None}
    pitr = {"pitr": {"enabled": True, "method": env.PITR_METHOD}} if env.PITR_METHOD else {}
    values["databases"] = [{"name": name, "url": url, **given, **pitr}] if name else []
    if env.BACKUP_RETENTION is not None:
        try:
            policy = RetentionPolicy.parse(env.BACKUP_RETENTION)
            values["retention"] = {tier: policy.count(tier) for tier in TIERS}
        except InputError as error:
            faults.append(f"BACKUP_RETENTION: {error.message} {error.hint}")
    return values


def _database_name(url: str) -> str:
    """Given a database's URL, return the database's name in it, with what a name may not hold replaced.

    A password with a raw ``/``, ``#`` or ``?`` moves the bounds of the parts: where they are in doubt, no part of the
    URL is shown, as it may be of the password, and the name is a neutral one.
    """
    try:
        parts = urlsplit(url)
        name = unquote(parts.path.lstrip("/")) if "://" in url else ""
        _ = parts.port  # raises where what should be the port is part of a password
        if name and (not _is_sound(url) or "/" in name):
            name = "database"
    except ValueError:  # no URL at all, an unclosed [ say; that is one fault, and this is the database's name
        name = "database"
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in name)[:63]


def _is_sound(url: str) -> bool:
    """Say whether each ``@`` of a URL stands before its host: one further on shows that a password was cut in two."""
    parts = urlsplit(url)
    return "@" not in parts.path + parts.query + parts.fragment


def apply_environment(values: dict[str, Any], env: Environment, faults: list[str]) -> None:
    """Put what the environment says, and the defaults that follow from it, over values from wherever."""
    home = env.BACKUPS_HOME if env.BACKUPS_HOME != "var" or "home" not in values else values["home"]
    if not isinstance(home, str):
        faults.append('home: is not a text; for example "/var/lib/backups"')
        home = env.BACKUPS_HOME
    values["home"] = Path(home).absolute()
    if env.BACKUP_RECIPIENTS:
        values["recipients"] = env.BACKUP_RECIPIENTS.replace(",", " ").split()
    if env.BACKUP_OLD_ENCRYPTION_KEYS:
        values["old_encryption_keys"] = env.BACKUP_OLD_ENCRYPTION_KEYS.replace(",", " ").split()
    if env.BACKUP_TWO_PERSON:
        values["two_person"] = env.BACKUP_TWO_PERSON.replace(",", " ").split()
    given = {
        "encryption_key": env.BACKUP_ENCRYPTION_KEY,
        "signing_key": env.BACKUP_SIGNING_KEY,
        "installation_key": env.BACKUPS_INSTALLATION_KEY,
        "restore_test_url": env.RESTORE_TEST_URL,
        "catalog_url": env.CATALOG_URL,
        "spool": env.BACKUP_SPOOL,
    }
    values |= {field: text for field, text in given.items() if text}
    apply_alerts(values, env)
    if env.BACKUPS_HOSTS and isinstance(values.get("web", {}), dict):
        values["web"] = values.get("web", {}) | {"hosts": env.BACKUPS_HOSTS}
    apply_access(values, env)
    values.setdefault("catalog_url", f"sqlite:///{values['home'] / 'catalog.db'}")
    if not values.get("recipients") and isinstance(values.get("encryption_key"), str):
        if env.BACKUP_RECIPIENTS == "":  # a `keygen` that failed, say: whose key it would be nobody has decided
            faults.append(
                f"BACKUP_RECIPIENTS: is set and empty; {example_of('recipients')}, as `backups keygen` prints it. "
                "Without the variable, backups are encrypted to the public key of BACKUP_ENCRYPTION_KEY"
            )
        public = public_key_of(values["encryption_key"])
        if public:
            values["recipients"] = [public]


def apply_alerts(values: dict[str, Any], env: Environment) -> None:
    """Lay what the environment says of alerts over the file's ``[alerts]``."""
    given: dict[str, Any] = {
        "email": env.BACKUP_ALERT_EMAIL and env.BACKUP_ALERT_EMAIL.replace(",", " ").split(),
        "smtp_url": env.BACKUP_SMTP_URL,
        "slack": env.BACKUP_ALERT_SLACK,
        # A comma may stand inside of a URL: only one before the next scheme separates.
        "urls": env.BACKUP_ALERT_URLS
        and re.split(r"\s+|,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)", env.BACKUP_ALERT_URLS.strip()),
        "heartbeat_url": env.BACKUP_HEARTBEAT_URL,
    }
    given = {field: value for field, value in given.items() if value}
    if given and isinstance(values.get("alerts", {}), dict):
        values["alerts"] = values.get("alerts", {}) | given


def apply_access(values: dict[str, Any], env: Environment) -> None:
    """Lay what the environment says of access over the file's ``[access]``."""
    given: dict[str, Any] = {name: getattr(env, variable) for name, variable in VARIABLES.items()}
    for name in ("admins", "proxy_addresses"):
        given[name] = given[name] and given[name].replace(",", " ").split()
    if given["roles"]:
        pairs = [pair.rpartition("=") for pair in re.split(r"\s*,\s*", given["roles"].strip())]
        given["roles"] = {group.strip() or role: role.strip() for group, _, role in pairs}
    given = {field: value for field, value in given.items() if value}
    if given and isinstance(values.get("access", {}), dict):
        values["access"] = values.get("access", {}) | given
