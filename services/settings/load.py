"""Reading settings: a TOML file (``BACKUPS_CONFIG``) for any number of databases, or environment variables for one.

The environment wins over the file where both name the same thing (keys, catalogue, home). All faults are named at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import pyrage
import sqlalchemy as sa
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.backups.signing import is_ed25519_key
from services.errors import SettingsError
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings, Settings, StorageSettings

M = TypeVar("M", bound=BaseModel)
EXAMPLES = {
    "databases.name": "la_factoria",
    "databases.url": "postgresql://backup:password@host:5432/la_factoria?sslmode=require",
    "databases.rpo": "24h",
    "databases.rto": "1h",
    "databases.restore_test_max_age": "35d",
    "databases.compression_level": "3",
    "databases.hash_limit": "50GB",
    "databases.verify_after": "checksum",
    "databases.storages": '["r2", "s3"]',
    "storages.name": "r2",
    "storages.url": "s3://la-factoria-backups/prod",
    "storages.limit_bytes": "500GB",
    "storages.storage_classes": '["GLACIER", "DEEP_ARCHIVE"]',
    "storages.warn_percent": "80",
    "recipients": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    "encryption_key": "AGE-SECRET-KEY-1…, as `backups keygen` makes it",
    "signing_key": "the base64 of 32 random bytes",
    "restore_test_url": "postgresql://tester:password@scratch-host:5432/postgres",
    "catalog_url": "sqlite:////var/lib/backups/catalog.db",
}
_SECRET_PARAMETERS = ("password", "sslpassword", "oauth_client_secret")
"""What libpq takes as a secret in the query of a URL."""
_ENVIRONMENT_NAMES = {
    "databases.url": "DATABASE_URL",
    "databases.name": "BACKUP_DATABASE_NAME",
    "storages.url": "BACKUP_STORAGE",
    "storages.endpoint_url": "S3_ENDPOINT_URL",
    "recipients": "BACKUP_RECIPIENTS",
    "encryption_key": "BACKUP_ENCRYPTION_KEY",
    "signing_key": "BACKUP_SIGNING_KEY",
    "restore_test_url": "RESTORE_TEST_URL",
    "catalog_url": "CATALOG_URL",
}


class _Environment(BaseSettings):
    """The environment variables that mean something here, as they are."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, case_sensitive=True)

    BACKUPS_CONFIG: str | None = None
    BACKUPS_HOME: str = "var"
    DATABASE_URL: str | None = None
    BACKUP_DATABASE_NAME: str | None = None
    BACKUP_STORAGE: str | None = None
    BACKUP_RECIPIENTS: str | None = None
    BACKUP_ENCRYPTION_KEY: str | None = None
    BACKUP_SIGNING_KEY: str | None = None
    RESTORE_TEST_URL: str | None = None
    CATALOG_URL: str | None = None
    S3_ENDPOINT_URL: str | None = None
    AWS_ENDPOINT_URL_S3: str | None = None
    AWS_ENDPOINT_URL: str | None = None
    AWS_REGION: str | None = None
    AWS_DEFAULT_REGION: str | None = None
    AWS_ACCESS_KEY_ID: str | None = None
    AWS_SECRET_ACCESS_KEY: str | None = None
    AWS_SESSION_TOKEN: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> _Environment:
        return cls.model_validate({name: environ[name] for name in cls.model_fields if environ.get(name)})


def load_settings(environ: Mapping[str, str]) -> Settings | None:
    """Given the environment, return the settings, or None when nothing is configured (the sample environment).

    Raise SettingsError that names every fault with its field and an example.
    """
    env = _Environment.read(environ)
    if env.BACKUPS_CONFIG is None and env.DATABASE_URL is None:
        alone = [n for n in ("BACKUP_STORAGE", "BACKUP_DATABASE_NAME", "BACKUP_RECIPIENTS") if environ.get(n)]
        if alone:
            raise _refused(
                [f"DATABASE_URL: is missing beside {', '.join(alone)}; {_example('databases.url')}"], "DATABASE_URL"
            )
        return None
    faults: list[str] = []
    values = _from_file(Path(env.BACKUPS_CONFIG), faults) if env.BACKUPS_CONFIG else _from_environment(env, faults)
    from_file = env.BACKUPS_CONFIG is not None
    _apply_common(values, env, faults)
    settings = _validate(values, faults, from_file=from_file)
    if settings is not None:
        faults += _contradictions(settings, complete=not faults)
    if faults or settings is None:
        raise _refused(faults, env.BACKUPS_CONFIG or "the environment")
    return settings


def _from_file(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        faults.append(f"BACKUPS_CONFIG: there is no file {path}; for example /etc/backups.toml")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"BACKUPS_CONFIG: {path} cannot be read ({error})")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"BACKUPS_CONFIG: {path} is not TOML ({error})")
    raise _refused(faults, str(path))


def _from_environment(env: _Environment, faults: list[str]) -> dict[str, Any]:
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
            }
    values: dict[str, Any] = {"storages": [storage] if "url" in storage else []}
    values["databases"] = [{"name": name, "url": url}] if name else []
    return values


def _database_name(url: str) -> str:
    """Given a database's URL, return the database's name in it, with what a name may not hold replaced."""
    try:
        name = unquote(urlsplit(url).path.lstrip("/")) if "://" in url else ""
    except ValueError:  # no URL at all, an unclosed [ say; that is one fault, and this is the database's name
        name = "database"
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in name)[:63]


def _apply_common(values: dict[str, Any], env: _Environment, faults: list[str]) -> None:
    home = env.BACKUPS_HOME if env.BACKUPS_HOME != "var" or "home" not in values else values["home"]
    if not isinstance(home, str):
        faults.append('home: is not a text; for example "/var/lib/backups"')
        home = env.BACKUPS_HOME
    values["home"] = Path(home).absolute()
    if env.BACKUP_RECIPIENTS:
        values["recipients"] = env.BACKUP_RECIPIENTS.replace(",", " ").split()
    given = {
        "encryption_key": env.BACKUP_ENCRYPTION_KEY,
        "signing_key": env.BACKUP_SIGNING_KEY,
        "restore_test_url": env.RESTORE_TEST_URL,
        "catalog_url": env.CATALOG_URL,
    }
    values |= {field: text for field, text in given.items() if text}
    values.setdefault("catalog_url", f"sqlite:///{values['home'] / 'catalog.db'}")
    if not values.get("recipients") and isinstance(values.get("encryption_key"), str):
        public = _public_key(values["encryption_key"])
        if public:
            values["recipients"] = [public]


def _public_key(secret: str) -> str | None:
    try:
        return str(pyrage.x25519.Identity.from_str(secret.strip()).to_public())
    except pyrage.IdentityError:
        return None


def _validate(values: dict[str, Any], faults: list[str], *, from_file: bool) -> Settings | None:
    for kind, model in (("databases", DatabaseSettings), ("storages", StorageSettings)):
        entries = values.get(kind, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            faults.append(f"{kind}: write one [[{kind}]] section each; with name = {EXAMPLES[kind + '.name']!r}")
            values[kind] = []
            continue
        built = []
        for index, entry in enumerate(entries):
            label = f"{kind}[{entry.get('name', index)}]"
            made, errors = _build(model, entry)
            faults += [_fault(detail, kind, label, from_file=from_file) for detail in errors]
            built += [made] if made is not None else []
        values[kind] = built
    settings, errors = _build(Settings, values)
    faults += [_fault(detail, "", "", from_file=from_file) for detail in errors]
    return settings


def _build(model: type[M], values: dict[str, Any]) -> tuple[M | None, list[Any]]:
    """Return the model and what is wrong. The faulty fields are left out of it, so that what else is wrong is seen."""
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        errors = error.errors()
    faulty = {detail["loc"][0] for detail in errors}
    try:
        return model.model_validate({name: value for name, value in values.items() if name not in faulty}), errors
    except ValidationError:
        return None, errors  # what is wrong must not be missing


def _fault(detail: Any, kind: str, label: str, *, from_file: bool) -> str:
    """Given one of pydantic's errors, return ``field: what; for example …``; never the value, a secret perhaps."""
    path = ".".join(str(part) for part in detail["loc"])
    field = f"{kind}.{path}" if kind else path
    shown = _ENVIRONMENT_NAMES.get(field, path) if not from_file else f"{label}.{path}" if label else path
    message = {"missing": "is missing", "extra_forbidden": "is not a setting"}.get(detail["type"], detail["msg"])
    return f"{shown}: {message.removeprefix('Value error, ')}; {_example(field)}".rstrip("; ")


def _example(field: str) -> str:
    example = EXAMPLES.get(".".join(part for part in field.split(".") if not part.isdigit()))
    return f"for example {example}" if example else ""


def _contradictions(settings: Settings, *, complete: bool) -> list[str]:
    """Return what pydantic cannot see: doubled names, storages that do not exist, keys that are no keys."""
    faults = []
    for kind, names in (
        ("databases", [d.name for d in settings.databases]),
        ("storages", [s.name for s in settings.storages]),
    ):
        faults += [
            f"{kind}: the name {name!r} stands twice; each needs its own"
            for name in sorted({n for n in names if names.count(n) > 1})
        ]
        if complete and not names:
            faults.append(f"{kind}: there is none; add one with {_example(kind + '.url')}")
    known = {storage.name for storage in settings.storages}
    for database in settings.databases:
        faults += [
            f"databases[{database.name}].storages: there is no storage {name!r}; "
            f"known: {', '.join(sorted(known)) or 'none'}"
            for name in database.storages
            if name not in known
        ]
    for recipient in settings.recipients:
        try:
            pyrage.x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError:
            faults.append(f"recipients: {recipient[:12]}… is not an age public key; {_example('recipients')}")
    if settings.encryption_key is not None and _public_key(settings.encryption_key.get_secret_value()) is None:
        faults.append(f"encryption_key (BACKUP_ENCRYPTION_KEY): is not an age secret key; {_example('encryption_key')}")
    if not settings.recipients and any(database.encrypt for database in settings.databases):
        faults.append(
            "recipients (BACKUP_RECIPIENTS): is missing, and backups are to be encrypted; run `backups keygen`, "
            f"{_example('recipients')}, or set encrypt = false for the database"
        )
    faults += _bad_keys(settings)
    faults += _bad_urls(settings)
    faults += _unreadable_archives(settings)
    return faults


def _bad_keys(settings: Settings) -> list[str]:
    faults = []
    if settings.signing_key is not None and not is_ed25519_key(settings.signing_key.get_secret_value()):
        faults.append(f"signing_key (BACKUP_SIGNING_KEY): is not an Ed25519 seed; {_example('signing_key')}")
    faults += [
        f"trusted_signers: {key[:12]}… is not an Ed25519 public key; write the base64 of its 32 bytes"
        for key in settings.trusted_signers
        if not is_ed25519_key(key)
    ]
    return faults


def _bad_urls(settings: Settings) -> list[str]:
    """Try each URL as whoever connects will; what is said of it never repeats it, since it may hold a password."""
    faults = []
    urls = [(f"databases[{d.name}].url (DATABASE_URL)", "databases.url", d.url) for d in settings.databases]
    if settings.restore_test_url is not None:
        urls.append(("restore_test_url (RESTORE_TEST_URL)", "restore_test_url", settings.restore_test_url))
    for shown, field, url in urls:
        try:
            Address.parse(url.get_secret_value())
        except SettingsError as error:
            faults.append(f"{shown}: {error.message} {_example(field)}")
    try:
        backend = sa.engine.make_url(settings.catalog_url.get_secret_value()).get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        faults.append(
            f"catalog_url (CATALOG_URL): is neither a sqlite:/// nor a postgresql:// URL; {_example('catalog_url')}"
        )
    return faults


def _unreadable_archives(settings: Settings) -> list[str]:
    """A backup that is encrypted can be read to its end only with the secret key."""
    return [
        f"databases[{database.name}].verify_after: is 'archive', which needs the secret key to read what is encrypted; "
        'set encryption_key (BACKUP_ENCRYPTION_KEY), or verify_after = "checksum"'
        for database in settings.databases
        if database.verify_after == "archive" and database.encrypt and settings.encryption_key is None
    ]


def _refused(faults: list[str], where: str) -> SettingsError:
    many = f"{len(faults)} faults" if len(faults) != 1 else "1 fault"
    return SettingsError(
        f"The settings in {where} have {many}: " + " · ".join(faults),
        hint="See docs/settings.md.",
        faults=tuple(faults),
    )


def secrets_of(settings: Settings) -> set[str]:
    """Return every secret text in the settings (passwords also on their own), to be masked in logs."""
    found: set[str] = set()
    urls = [d.url for d in settings.databases] + [u for u in (settings.restore_test_url, settings.catalog_url) if u]
    for url in urls:
        found |= _secrets_in(url.get_secret_value())
    keys: list[SecretStr | None] = [settings.encryption_key, settings.signing_key]
    for storage in settings.storages:
        keys += [storage.secret_access_key, storage.session_token]
    found |= {key.get_secret_value() for key in keys if key is not None}
    return {text for text in found if len(text) >= 4}


def _secrets_in(url: str) -> set[str]:
    """Return the passwords that a URL holds, before its @ or in its query, as they stand there and as they are."""
    try:
        parts = urlsplit(url)
        pairs = [pair.partition("=") for pair in parts.query.split("&")]
        written = [value for name, _, value in pairs if name in _SECRET_PARAMETERS] + [parts.password or ""]
    except ValueError:
        return set()
    return {text for raw in written if raw for text in (raw, unquote(raw))}
