"""How a database stands for point in time: what its server is set to, and whether the log arrives.

Every check says ok, warning or blocking, and what mends it, to the letter.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Literal

from services.errors import BackupsError
from services.installation import Installation
from services.pitr import remedies as mend
from services.pitr.archive import WalArchive
from services.pitr.open import find_archive
from services.pitr.our_command import our_command
from services.pitr.server_checks import check_server
from services.pitr.server_facts import ServerFacts, ask_server, try_replication
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings
from services.settings.secret_texts import mask_command, secrets_of
from services.storage.local import LocalStorage
from services.storage.protocol import Storage

_WORST: tuple[Literal["blocking", "warning", "ok"], ...] = ("blocking", "warning", "ok")


@dataclass(frozen=True)
class PitrStatus:
    """The checks, in the order in which one would mend them."""

    database: str
    method: str
    enabled: bool
    checks: tuple[StatusCheck, ...]
    facts: ServerFacts | None
    """None when the server cannot be asked."""

    @property
    def worst(self) -> Literal["blocking", "warning", "ok"]:
        return next((s for s in _WORST if any(check.severity == s for check in self.checks)), "ok")

    @property
    def can_increment(self) -> bool:
        """Whether the server can send what has changed since an earlier base backup (17 and newer)."""
        return self.facts is not None and self.facts.settings.get("summarize_wal") == "on"


def load_status(installation: Installation, database: DatabaseSettings) -> PitrStatus:
    """Ask the server and the storage. What cannot be asked is a blocking check."""
    address = Address.parse(database.url.get_secret_value())
    pitr = database.pitr
    checks: list[StatusCheck] = []
    facts = None
    try:
        facts = ask_server(address)
    except BackupsError as error:
        checks.append(StatusCheck("connection", "blocking", error.message, error.hint))
    if facts is not None:
        command = mask_command(facts.settings.get("archive_command", ""), secrets_of(installation.settings))
        facts = replace(facts, settings={**facts.settings, "archive_command": command})
        ours = our_command(installation.settings, database, address)
        checks += check_server(database, address, facts, refused=try_replication(address), command=ours)
    try:
        storage = installation.storage(installation.settings.pitr_storage_of(database).name)
        archive = find_archive(installation.settings, database, storage)
        checks.append(_check_cluster(archive, facts, storage, pitr.method))
    except BackupsError as error:
        checks.append(StatusCheck("archive", "blocking", error.message, error.hint))
    return PitrStatus(database.name, pitr.method, pitr.enabled, tuple(checks), facts)


def _check_cluster(archive: WalArchive | None, facts: ServerFacts | None, storage: Storage, method: str) -> StatusCheck:
    if archive is None and method == "archive_command" and isinstance(storage, LocalStorage) and not storage.is_mounted:
        folder = shlex.quote(str(storage.root))
        return StatusCheck(
            "archive", "warning", f"Nothing is in {storage.url} yet: an empty folder is taken for a disk that is away.",
            "wal-push stores nothing into it until a file there says that it is the right one. On its host:",
            mend.Remedy(by_hand=f"mkdir -p {folder} && touch {folder}/.mounted"),
        )  # fmt: skip
    if archive is None:
        return StatusCheck("archive", "warning", "Nothing of the log is in the storage yet.")
    if facts is not None and facts.system_identifier != archive.system_identifier:
        return StatusCheck(
            "archive", "blocking",
            f"The archive holds the log of cluster {archive.system_identifier}, and the server is "
            f"{facts.system_identifier}: its log is refused.",
            f'If the server was made anew, set system_identifier = "{facts.system_identifier}" in [databases.pitr].',
        )  # fmt: skip
    return StatusCheck("archive", "ok", f"The archive is that of this server (cluster {archive.system_identifier}).")
