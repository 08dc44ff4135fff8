"""What is wrong with settings that are each well formed: doubled names, storages that do not exist, false keys."""

from __future__ import annotations

import re

from services.backups.signing import is_ed25519_key
from services.errors import InputError, SettingsError
from services.postgres.connection import Address
from services.retention.policy import RetentionPolicy
from services.settings.access import missing
from services.settings.faults import example_of
from services.settings.keys import is_public_key, public_key_of
from services.settings.model import Settings


def contradictions(settings: Settings, *, complete: bool) -> list[str]:
    """Return what pydantic cannot see, a fault a line; ``complete``: what is missing was not left out as faulty."""
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
            faults.append(f"{kind}: there is none; add one with {example_of(kind + '.url')}")
    known = {storage.name for storage in settings.storages}
    for database in settings.databases:
        faults += [
            f"databases[{database.name}].storages: there is no storage {name!r}; "
            f"known: {', '.join(sorted(known)) or 'none'}"
            for name in database.storages
            if name not in known
        ]
        if database.pitr.storage is not None and database.pitr.storage not in known:
            faults.append(
                f"databases[{database.name}].pitr.storage: there is no storage {database.pitr.storage!r}; "
                f"known: {', '.join(sorted(known)) or 'none'}"
            )
    if not settings.recipients and any(database.encrypt for database in settings.databases):
        faults.append(
            "recipients (BACKUP_RECIPIENTS): is missing, and backups are to be encrypted; run `backups keygen`, "
            f"{example_of('recipients')}, or set encrypt = false for the database"
        )
    faults += _shared_slots(settings)
    faults += _empty_policies(settings)
    faults += _bad_keys(settings)
    faults += _bad_urls(settings)
    faults += _unreadable_archives(settings)
    faults += _one_way_commands(settings)
    faults += _other_owners(settings)
    faults += _half_protected(settings)
    faults += missing(settings.access)
    return faults


def _half_protected(settings: Settings) -> list[str]:
    """Say what of locks and second credentials means nothing, so that nobody relies on it."""
    faults = []
    for storage in settings.storages:
        where = f"storages[{storage.name}]"
        if storage.is_local and storage.object_lock not in (None, "none"):
            faults.append(f"{where}.object_lock: a local folder cannot lock; set it for an s3:// storage")
        if storage.lock_for is not None and storage.object_lock in (None, "none"):
            faults.append(f'{where}.lock_for: is set without object_lock; for example object_lock = "governance"')
        second = (storage.delete_access_key_id, storage.delete_secret_access_key)
        if (second[0] is None) != (second[1] is None):
            faults.append(f"{where}.delete_access_key_id and delete_secret_access_key: one is set without the other")
        if second[0] is not None and (storage.is_local or second[0] == storage.access_key_id):
            why = "a local folder has none" if storage.is_local else "it is the first credential again"
            faults.append(f"{where}.delete_access_key_id: {why}; give that of another user of an s3:// storage")
    return faults


def _shared_slots(settings: Settings) -> list[str]:
    """Say where two databases of one server share a slot: it moves on for one before the log of the other is stored."""
    faults: list[str] = []
    seen: dict[tuple[str, int, str], str] = {}
    for database in settings.databases:
        if not database.pitr.enabled or database.pitr.method != "receiver":
            continue
        try:
            address = Address.parse(database.url.get_secret_value())
        except SettingsError:
            continue  # said elsewhere
        place = (address.host, address.port, database.pitr.slot)
        if place in seen:
            faults.append(
                f"databases[{database.name}].pitr.slot: {database.pitr.slot!r} on this server is {seen[place]}'s; "
                "the log is of the whole server, so one of the two is enough; else give each a slot of its own"
            )
        seen.setdefault(place, database.name)
    return faults


def _empty_policies(settings: Settings) -> list[str]:
    """Say which policies keep nothing: numbers may be fine one by one and zero together."""
    try:
        settings.retention.over(RetentionPolicy())
    except InputError as error:
        return [f"retention: {error.message.rstrip('.')}; {example_of('retention')}"]
    faults = []
    for database in settings.databases:
        try:
            settings.retention_of(database)
        except InputError as error:
            example = example_of("databases.retention")
            faults.append(f"databases[{database.name}].retention: {error.message.rstrip('.')}; {example}")
    return faults


def _bad_keys(settings: Settings) -> list[str]:
    faults = [
        f"recipients: {recipient[:12]}… is not an age public key; {example_of('recipients')}"
        for recipient in settings.recipients
        if not is_public_key(recipient)
    ]
    secret, example = settings.encryption_key, example_of("encryption_key")
    if secret is not None and public_key_of(secret.get_secret_value()) is None:
        faults.append(f"encryption_key (BACKUP_ENCRYPTION_KEY): is not an age secret key; {example}")
    if any(public_key_of(old.get_secret_value()) is None for old in settings.old_encryption_keys):
        faults.append(f"old_encryption_keys (BACKUP_OLD_ENCRYPTION_KEYS): one is not an age secret key; {example}")
    faults += [
        f"key_names: {key[:12]}… is not an age public key; {example_of('recipients')}"
        for key in settings.key_names
        if not is_public_key(key)
    ]
    if settings.signing_key is not None and not is_ed25519_key(settings.signing_key.get_secret_value()):
        faults.append(f"signing_key (BACKUP_SIGNING_KEY): is not an Ed25519 seed; {example_of('signing_key')}")
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
    urls += [
        (f"databases[{d.name}].owner_url (BACKUP_OWNER_URL)", "databases.url", d.owner_url)
        for d in settings.databases
        if d.owner_url is not None
    ]
    for shown, field, url in urls:
        try:
            Address.parse(url.get_secret_value())
        except SettingsError as error:
            faults.append(f"{shown}: {error.message} {example_of(field)}")
    if not _is_catalog_url(settings.catalog_url.get_secret_value()):
        faults.append(
            f"catalog_url (CATALOG_URL): is neither a sqlite:/// nor a postgresql:// URL; {example_of('catalog_url')}"
        )
    return faults


def _is_catalog_url(url: str) -> bool:
    if re.match(r"sqlite:////?[^?#@]*\Z", url):  # as most are: the toolkit costs a fifth of a second to ask
        return True
    import sqlalchemy as sa

    try:
        return sa.engine.make_url(url).get_backend_name() in ("sqlite", "postgresql")
    except (sa.exc.ArgumentError, ValueError):
        return False


def _unreadable_archives(settings: Settings) -> list[str]:
    """A backup that is encrypted can be read to its end only with the secret key."""
    return [
        f"databases[{database.name}].verify_after: is 'archive', which needs the secret key to read what is encrypted; "
        'set encryption_key (BACKUP_ENCRYPTION_KEY), or verify_after = "checksum"'
        for database in settings.databases
        if database.verify_after == "archive" and database.encrypt and settings.encryption_key is None
    ]


def _one_way_commands(settings: Settings) -> list[str]:
    """What stops an application from writing without anything that lets it write again must not be run at all."""
    return [
        f"databases[{database.name}].read_only_on_command and read_only_off_command: one is set without the other; "
        f"{example_of('databases.read_only_on_command')}"
        for database in settings.databases
        if bool(database.read_only_on_command) != bool(database.read_only_off_command)
    ]


def _other_owners(settings: Settings) -> list[str]:
    """The owner's URL is of the same database: another one would be switched to read-only mode."""
    faults = []
    for database in settings.databases:
        if database.owner_url is not None:
            try:
                names = {Address.parse(url.get_secret_value()).dbname for url in (database.url, database.owner_url)}
            except SettingsError:
                continue  # said as such
            if len(names) > 1:
                faults.append(
                    f"databases[{database.name}].owner_url (BACKUP_OWNER_URL): names another database than its url"
                )
    return faults
