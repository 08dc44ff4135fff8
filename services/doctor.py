"""Live checks of an installation: does everything that a backup, its proof and a restore need work right now?

Each check is one function that yields what it found. A check that is stopped by an error has failed; the others go on.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import psycopg
import pyrage

from services.backups.mounted import emptied_of
from services.backups.signing import signing_key
from services.catalog.catalog import Catalog
from services.catalog.model import Backup
from services.clock import Clock, utc_now
from services.credentials.keys import check_secret_key
from services.credentials.role import check_role
from services.credentials.storage import check_credentials, check_lock
from services.emergency.readiness import check_readiness, is_prepared
from services.errors import BackupsError, InputError, NotTestable, SettingsError
from services.installation import Installation, make_home
from services.keys.holders import load_keys
from services.keys.words import ADD_A_KEY, drill_words, recipients_words
from services.notify.channels import open_channels
from services.postgres.collations import DEFAULT, has_icu, icu_in_use
from services.postgres.connection import Address, connect
from services.preflight import preflight
from services.preflight.tried import TriedStorages
from services.restores.copies import choose_copy
from services.restores.evidence import read_evidence
from services.restores.scratch_server import scratch_server
from services.settings.access import lets_anybody_in
from services.settings.load import load_alerts, load_settings
from services.settings.model import DatabaseSettings, Settings, StorageSettings
from services.storage.one_disk import check_second_place
from services.storage.protocol import Storage, StorageProbe
from services.stream.encryption import parse_identities, parse_recipients, public_key
from services.units import format_bytes, format_duration

Result = Literal["ok", "warning", "failed"]

SKEW_NOTABLE = timedelta(minutes=1)
SKEW_REFUSED = timedelta(minutes=15)
"""S3 refuses requests that are dated further off (RequestTimeTooSkewed)."""
HOME_LOW, HOME_FULL = 2 * 10**9, 200 * 10**6
"""Bytes free in the home folder, for the catalogue and the scratch server, at which to warn and to fail."""


@dataclass(frozen=True)
class Diagnosis:
    """What one check found."""

    name: str
    result: Result
    message: str
    hint: str = ""


def examine(environ: Mapping[str, str] = os.environ, clock: Clock = utc_now) -> list[Diagnosis]:
    """Run every check and return what each found, in an order in which causes come before their consequences.

    With wrong settings these are all that is returned, one diagnosis a fault. Without any, the sample is examined.
    """
    try:
        settings = _settings(environ, clock)
    except SettingsError as error:
        faults = error.faults or (error.message,)
        return [Diagnosis("settings", "failed", fault, error.hint) for fault in faults]
    except BackupsError as error:
        return [Diagnosis("sample environment", "failed", error.message, error.hint)]
    found = list(_diagnose("settings", lambda: _check_settings(settings)))
    found += _diagnose("home folder", lambda: check_home(settings.home))
    try:
        catalog = Catalog(settings.catalog_url.get_secret_value())
    except (BackupsError, OSError) as error:
        message = error.message if isinstance(error, BackupsError) else f"It cannot be made: {error.strerror}."
        return [*found, Diagnosis("catalogue", "failed", message, "Check CATALOG_URL.")]
    installation = Installation(settings, catalog, clock)
    try:
        return found + list(_examine_installed(installation))
    finally:
        installation.close()


def _examine_installed(installation: Installation) -> Iterator[Diagnosis]:
    settings, tried = installation.settings, TriedStorages(installation)
    catalogue = list(_diagnose("catalogue", lambda: check_catalogue(installation)))
    yield from catalogue
    if any(diagnosis.result == "failed" for diagnosis in catalogue):
        yield from _examine_without_catalogue(installation)
        return
    for database in settings.databases:
        name = f"database {database.name}"
        yield from _diagnose(name, partial(check_database, installation, database, tried))
    for storage in settings.storages:
        name = f"storage {storage.name}"
        yield from _diagnose(name, partial(check_storage, installation, storage, tried))
    yield from _diagnose("second place", lambda: check_second_place(settings.storages))
    for database in settings.databases:
        if is_prepared(database) or installation.catalog.engine.dialect.name == "postgresql":
            look = partial(check_readiness, installation, database)
            yield from _diagnose(f"read-only mode of {database.name}", look)
    yield from _diagnose("key", lambda: check_key(settings))
    yield from _diagnose("recovery key", lambda: check_recovery_key(installation))
    yield from _diagnose("secret key", lambda: check_secret_key(settings))
    for database in settings.databases:
        yield from _diagnose(f"role of {database.name}", partial(check_role, database))
    for storage in settings.storages:
        place = partial(installation.storage, storage.name)
        yield from _diagnose(f"credentials of {storage.name}", partial(_with, place, check_credentials, storage))
        yield from _diagnose(f"lock of {storage.name}", partial(_with, place, check_lock, storage))
    for database in settings.databases:
        name = f"restore test of {database.name}"
        yield from _diagnose(name, partial(check_scratch_server, installation, database))
    for database in settings.databases:
        name = f"newest backup of {database.name}"
        yield from _diagnose(name, partial(check_newest_backup, installation, database))
    yield from _diagnose("worker", lambda: check_worker(installation))
    yield from _diagnose("alerts", lambda: check_channels(settings))


def _examine_without_catalogue(installation: Installation) -> Iterator[Diagnosis]:
    """Look at what can be looked at while the catalogue is away; the rest asks it for history."""
    for database in installation.settings.databases:
        name = f"database {database.name}"
        yield from _diagnose(name, partial(check_connection, installation, database))
    for storage in installation.settings.storages:
        name = f"storage {storage.name}"
        yield from _diagnose(name, partial(try_storage, installation.storage(storage.name)))
    yield from _diagnose("key", lambda: check_key(installation.settings))


def _with(
    place: Callable[[], Storage],
    check: Callable[[StorageSettings, Storage], Iterator[tuple[Result, str, str]]],
    settings: StorageSettings,
) -> Iterator[tuple[Result, str, str]]:
    yield from check(settings, place())


def _diagnose(name: str, check: Callable[[], Iterator[tuple[Result, str, str]]]) -> Iterator[Diagnosis]:
    """Run one check; the error that stops it is its failure."""
    try:
        for result, message, hint in check():
            yield Diagnosis(name, result, message, hint)
    except BackupsError as error:
        yield Diagnosis(name, "failed", error.message, error.hint)


def _settings(environ: Mapping[str, str], clock: Clock) -> Settings:
    settings = load_settings(environ)
    if settings is not None:
        return settings
    from services.sample.environment import ensure_sample

    sample = ensure_sample(Path(environ.get("BACKUPS_HOME") or "var").absolute(), clock)
    return sample.model_copy(update={"alerts": load_alerts(environ)})


def _check_settings(settings: Settings) -> Iterator[tuple[Result, str, str]]:
    what = "The sample environment" if settings.sample else "Read without a fault"
    databases = ", ".join(d.name for d in settings.databases)
    yield "ok", f"{what}: databases {databases}; storages {', '.join(s.name for s in settings.storages)}.", ""
    if lets_anybody_in(settings.access):
        role = settings.access.default_role
        yield (
            "warning",
            f"{settings.access.issuer} signs anybody in, and access.default_role makes each of them {role}.",
            "Take it out (BACKUP_DEFAULT_ROLE) and add people by name, or use an issuer of your own organisation.",
        )


def check_home(home: Path) -> Iterator[tuple[Result, str, str]]:
    """Is the home folder there, writable, private, and is there room in it?"""
    make_home(home)
    probe = home / f".doctor-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield "failed", f"{home} cannot be written to: {error.strerror}.", "Give it to the user that runs this."
        return
    if home.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield "warning", f"{home} can be entered by other users of this machine.", f"chmod 700 {home}"
    free = shutil.disk_usage(home).free
    if free < HOME_LOW:
        result: Result = "failed" if free < HOME_FULL else "warning"
        yield result, f"{home} has only {format_bytes(free)} left.", "The catalogue and restore tests need more."
    else:
        yield "ok", f"{home} is writable, with {format_bytes(free)} free.", ""


def check_catalogue(installation: Installation) -> Iterator[tuple[Result, str, str]]:
    """Can the catalogue be reached, and are its tables those of this version?"""
    catalog = installation.catalog
    where = catalog.engine.url.render_as_string(hide_password=True)
    if not catalog.is_initialised():
        catalog.migrate()  # as every command does with a fresh one
    catalog.check_revision()
    yield "ok", f"{where} is up to date.", ""


def check_connection(installation: Installation, database: DatabaseSettings) -> Iterator[tuple[Result, str, str]]:
    """Does the server answer, and do clocks agree?"""
    with connect(Address.parse(database.url.get_secret_value())) as connection:
        before = installation.clock()
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        after = installation.clock()
        assert row is not None, "a SELECT without FROM gives one row"
        skew = row[0] - (before + (after - before) / 2)
        version = connection.info.parameter_status("server_version") or str(connection.info.server_version)
    if abs(skew) > SKEW_NOTABLE:
        yield "warning", f"The server's clock is {_off(skew)} ours.", "Set both by NTP: the RPO is measured with them."
    yield "ok", f"PostgreSQL {version.split()[0]} answers.", ""


def check_database(
    installation: Installation, database: DatabaseSettings, tried: TriedStorages
) -> Iterator[tuple[Result, str, str]]:
    """Does the server answer, do clocks agree, and would the pre-checks of a backup let it pass?"""
    yield from check_connection(installation, database)
    checks = preflight(installation, database, tried=tried).checks
    for check in checks:
        if check.severity != "ok":
            result: Result = "failed" if check.severity == "blocking" else "warning"
            yield result, f"{check.name}: {check.message}", check.hint
    if all(check.severity != "blocking" for check in checks):
        yield "ok", "A backup could start.", ""


def check_storage(
    installation: Installation, storage: StorageSettings, tried: TriedStorages
) -> Iterator[tuple[Result, str, str]]:
    """Is its disk mounted, is anything of ours in it, and is it as it should be otherwise?"""
    place, probe = tried.get(storage.name)
    if missed := emptied_of(installation, place):
        hint = "Is it the right disk, bucket, prefix and account? Look before anything is deleted or made anew."
        many = "the copy" if missed == 1 else f"the {missed:,} copies"
        yield "failed", f"It looks empty, or is another one: nothing is there of {many} that it is to hold.", hint
    yield from judge_probe(probe)


def try_storage(storage: Storage) -> Iterator[tuple[Result, str, str]]:
    """Can it be written to, read back and deleted from, and does its clock agree with ours?"""
    yield from judge_probe(storage.probe())


def judge_probe(probe: StorageProbe) -> Iterator[tuple[Result, str, str]]:
    """Say what a probe found of a storage's clock and pace."""
    skew = abs(probe.clock_skew)
    if skew > SKEW_NOTABLE:
        result: Result = "failed" if skew > SKEW_REFUSED else "warning"
        limit = f"S3 refuses what is more than {format_duration(SKEW_REFUSED)} off; set both by NTP."
        yield result, f"The storage's clock is {_off(probe.clock_skew)} ours.", limit
    yield "ok", f"Written, read back and deleted in {format_duration(probe.seconds)}.", ""


def check_key(settings: Settings) -> Iterator[tuple[Result, str, str]]:
    """Does the secret key that is at hand open what is encrypted to the recipients?"""
    if signing_key(settings) is None:
        yield (
            "warning",
            "Manifests will not be signed: nobody vouches for their fingerprints.",
            "Set BACKUP_SIGNING_KEY.",
        )
    encrypting = [d.name for d in settings.databases if d.encrypt]
    if not settings.recipients:
        if encrypting:
            hint = "Make a pair with `backups keygen` and set BACKUP_RECIPIENTS, or set encrypt = false."
            yield "failed", f"Backups of {', '.join(encrypting)} are to be encrypted, and there is no recipient.", hint
        else:
            yield "warning", "Backups are not encrypted: whoever can read the storage can read the databases.", ""
        return
    if settings.encryption_key is None:
        hint = (
            "Set BACKUP_ENCRYPTION_KEY where backups are to be proven, and make sure that somebody still has the key."
        )
        yield "warning", "There is no secret key here: backups are written, but cannot be proven or restored.", hint
        return
    secret = settings.encryption_key.get_secret_value()
    nonce = secrets.token_bytes(32)
    sealed = pyrage.encrypt(nonce, parse_recipients(settings.recipients))
    try:
        opened = pyrage.decrypt(sealed, parse_identities([secret]))
    except pyrage.DecryptError:
        opened = b""
    if opened == nonce:
        yield "ok", f"The secret key opens what is encrypted to the recipients ({public_key(secret)}).", ""
        return
    message = (
        f"The secret key here is {public_key(secret)}, which is none of the recipients "
        f"({', '.join(settings.recipients)}): backups are written, but cannot be proven or restored."
    )
    hint = "Set BACKUP_ENCRYPTION_KEY to the secret key of a recipient, or add its public key to BACKUP_RECIPIENTS."
    yield "warning", message, hint


def check_recovery_key(installation: Installation) -> Iterator[tuple[Result, str, str]]:
    """Is there a key beside the worker's, and was it proven lately?"""
    if not installation.settings.recipients or installation.settings.sample:
        return
    report = load_keys(installation)
    if len(report.present) == 1:
        yield "warning", recipients_words(report), ADD_A_KEY
    else:
        yield "ok", recipients_words(report), ""
    if report.is_overdue:
        yield "warning", drill_words(report), "`backups keys drill --identity FILE`, by whoever keeps the key."


def check_scratch_server(installation: Installation, database: DatabaseSettings) -> Iterator[tuple[Result, str, str]]:
    """Can a scratch database be made on the server for restore tests, and is that another server than the source's?"""
    try:
        with scratch_server(installation, database.name) as server, connect(server.address) as connection:
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper, rolname FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            label, version, major = server.label, server.version, server.major
            icu = has_icu(connection)
    except (InputError, NotTestable) as error:
        yield "warning", error.message, error.hint
        return
    if row is None or not row[0]:
        yield "failed", f"On {label} the role may not make databases.", "ALTER ROLE … CREATEDB."
        return
    backup = installation.catalog.backups.latest_good(database.name)
    source = 0 if backup is None else int(backup.server_version.split(".")[0])
    if source > major:
        hint = f"Set RESTORE_TEST_URL to a server of PostgreSQL {source}."
        yield "warning", f"{label} runs PostgreSQL {version}, older than the source's {source}.", hint
        return
    wanted = () if icu else _icu_of_source(database)
    if wanted:
        used = f"{', '.join(wanted[:5])}{' …' if len(wanted) > 5 else ''}"
        message = f"The server ({label}) was built without ICU, which {database.name} uses for its collations: {used}."
        hint = "Set RESTORE_TEST_URL to a server with ICU; without one no restore test of it can pass."
        if wanted == (DEFAULT,):
            hint = "Restore tests pass there, but texts sort differently. Set RESTORE_TEST_URL to a server with ICU."
        yield "warning", message, hint
        return
    yield "ok", f"PostgreSQL {version} ({label}) takes scratch databases.", ""


def _icu_of_source(database: DatabaseSettings) -> tuple[str, ...]:
    try:
        with connect(Address.parse(database.url.get_secret_value())) as connection:
            return icu_in_use(connection)
    except (BackupsError, psycopg.Error):
        return ()  # which the check of the database says


def check_newest_backup(installation: Installation, database: DatabaseSettings) -> Iterator[tuple[Result, str, str]]:
    """Is the newest backup's manifest there, believed, and would the key at hand open the backup?"""
    backup = next(iter(_stored(installation, database.name)), None)
    if backup is None:
        yield "warning", "There is none yet.", f"Run `backups create {database.name}`."
        return
    manifest = read_evidence(installation, backup, choose_copy(installation, backup, None))
    secret = installation.settings.encryption_key
    if secret is not None and backup.encryption == "age":
        ours = public_key(secret.get_secret_value())
        if ours not in manifest.backup.recipients:
            message = f"{backup.name} is encrypted to {', '.join(manifest.backup.recipients)}; the key here is {ours}."
            yield "warning", message, "Keep the older secret key for as long as backups are encrypted to it."
    if manifest.backup.trust == "signed":
        yield "ok", f"The manifest of {backup.name} is signed by a key that is trusted here.", ""
    else:
        hint = "Set BACKUP_SIGNING_KEY, or BACKUP_ENCRYPTION_KEY, from which it is derived."
        yield "warning", f"The manifest of {backup.name} is not signed: a changed one would not be noticed.", hint


def _stored(installation: Installation, database: str) -> list[Backup]:
    newest = installation.catalog.backups.list(database=database, state="finished", limit=20)
    return [backup for backup in newest if not backup.sample]


def check_worker(installation: Installation) -> Iterator[tuple[Result, str, str]]:
    """Does a worker's heart beat?"""
    alive = installation.catalog.workers.alive(installation.clock())
    if not alive:
        yield (
            "warning",
            "No worker is running: what the pages ask for waits.",
            "Start `backups worker`, or `backups serve`.",
        )
        return
    yield "ok", f"{len(alive)} running: {', '.join(worker.id for worker in alive)}.", ""


def check_channels(settings: Settings) -> Iterator[tuple[Result, str, str]]:
    """Is anybody told of alerts, and does each address mean something? Nothing is sent: `backups alert test` does."""
    channels = open_channels(settings.alerts)
    if not channels:
        hint = "Set BACKUP_ALERT_EMAIL with BACKUP_SMTP_URL, BACKUP_ALERT_SLACK or BACKUP_ALERT_URLS."
        yield "warning", "Nobody is told of alerts: no channel is set.", hint
        return
    for channel in channels.values():
        channel.check()
    hint = "`backups alert test` sends a message to each."
    yield "ok", f"Alerts go to {', '.join(channels)}.", hint


def _off(skew: timedelta) -> str:
    return f"{format_duration(abs(skew))} {'ahead of' if skew > timedelta() else 'behind'}"
