"""Further storages of a backup that are written beside the primary one, in the same stream.

Order: the objects, the primary one first; the primary manifest; the further manifests; then the catalogue, with all
copies in one transaction. What a further storage refuses becomes a copy that is wanting, made later from another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import cast

from services.backups.copy_failures import pause_after
from services.backups.manifest import store_document
from services.backups.mounted import mounted_storage
from services.backups.plan import Plan
from services.backups.signing import sign_document
from services.catalog.model import Backup, Copy
from services.catalog.runs import ClaimLost
from services.errors import BackupsError, StorageError
from services.installation import Installation
from services.jobs.context import RunContext
from services.settings.secret_texts import secrets_of
from services.storage.protocol import ObjectWriter, Storage, StoredObject
from services.storage.tee import TeeWriter


class FurtherStorages:
    """The further storages of one backup that is being made."""

    def __init__(self, installation: Installation, plan: Plan, names: Sequence[str], run: RunContext) -> None:
        self._installation = installation
        self._plan = plan
        self._run = run
        self._names = list(names)
        self._storages: dict[str, Storage] = {}
        self._failures: dict[str, BackupsError] = {}
        self._tee: TeeWriter | None = None
        self._is_real = False
        for name in names:
            try:
                self._storages[name] = mounted_storage(installation, name)
            except BackupsError as error:
                self._fail(name, error)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the block runs, have what it stores there removed if it fails, or if this process dies in it."""
        entry = {"key": self._plan.key, "manifest": self._plan.manifest_key}
        with ExitStack() as stack:
            for name in self._storages:
                stack.enter_context(self._run.leftover("object", storage=name, **entry))
            try:
                yield
            except BaseException as error:
                if not self._is_real or isinstance(error, ClaimLost):
                    self._remove()
                raise

    @property
    def plan(self) -> Plan:
        """The plan, with a storage whose writer writes into all of them."""
        if not self._storages:
            return self._plan
        return replace(self._plan, storage=cast(Storage, _AllStorages(self._plan.storage, self._begin)))

    def _begin(self, primary: ObjectWriter, key: str, *, expected_bytes: int | None) -> ObjectWriter:
        further: dict[str, ObjectWriter] = {}
        for name, storage in self._storages.items():
            try:
                further[name] = storage.writer(key, expected_bytes=expected_bytes)
            except BackupsError as error:
                self._fail(name, error)
        self._tee = TeeWriter(primary, further, discard=lambda name: self._storages[name].delete(key))
        return self._tee

    def finish(self, backup: Backup, document: dict[str, object]) -> Backup:
        """Given the backup that is real in the primary storage, write its manifest beside each further object.

        Return it with a row for each storage.
        """
        self._is_real = True
        stored = self._tee.stored if self._tee else {}
        if self._tee:
            for name, error in self._tee.failures.items():
                self._fail(name, error)
        signed = sign_document(self._installation.settings, document) if stored else {}
        copies = list(backup.copies)
        for name in self._names:
            if name in stored and self._is_made_real(name, stored[name], backup, signed):
                copies.append(self._row(name, stored[name]))
            else:
                copies.append(self._failed_row(name, backup))
        return replace(backup, copies=tuple(copies))

    def _is_made_real(self, name: str, stored: StoredObject, backup: Backup, signed: dict[str, object]) -> bool:
        if stored.bytes != backup.stored_bytes:
            problem: BackupsError = StorageError(
                f"The storage {name} has {stored.bytes} bytes of {backup.stored_bytes}."
            )
        else:
            try:
                store_document(self._storages[name], signed)
                return True
            except BackupsError as error:
                problem = error
        self._remove([name])
        self._fail(name, problem)
        return False

    def _fail(self, name: str, error: BackupsError) -> None:
        self._failures[name] = error
        self._run.log(f"No copy in {name} now; it is made later: {error}", "error")

    def _remove(self, names: Sequence[str] | None = None) -> None:
        for name in self._tee.stored if self._tee and names is None else names or ():
            for key in (self._plan.manifest_key, self._plan.key):
                try:
                    self._storages[name].delete(key)
                except BackupsError as error:
                    self._run.log(f"{self._storages[name].location(key)} could not be removed: {error}", "warning")
                    break

    def _row(self, name: str, stored: StoredObject) -> Copy:
        return Copy(
            storage=name,
            key=self._plan.key,
            location=self._storages[name].location(self._plan.key),
            storage_class=stored.storage_class,
            state="stored",
            bytes=stored.bytes,
            etag=stored.etag,
            checked_at=self._installation.clock(),
        )

    def _failed_row(self, name: str, backup: Backup) -> Copy:
        said = str(self._failures[name])
        for secret in secrets_of(self._installation.settings):
            said = said.replace(secret, "***")
        return Copy(
            storage=name,
            key=self._plan.key,
            location=self._installation.storage(name).location(self._plan.key),
            storage_class="STANDARD",
            state="failed",
            bytes=backup.stored_bytes,
            etag="",
            checked_at=None,
            error=said,
            attempts=1,
            next_attempt_at=self._installation.clock() + pause_after(1),
        )


class _AllStorages:
    """The primary storage, but for its writer."""

    def __init__(self, primary: Storage, begin: Callable[..., ObjectWriter]) -> None:
        self._primary = primary
        self._begin = begin

    def writer(self, key: str, *, expected_bytes: int | None = None, replace: bool = False) -> ObjectWriter:
        primary = self._primary.writer(key, expected_bytes=expected_bytes, replace=replace)
        return self._begin(primary, key, expected_bytes=expected_bytes)

    def __getattr__(self, name: str) -> object:
        return getattr(self._primary, name)
