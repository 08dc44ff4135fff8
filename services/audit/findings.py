"""What a verification of the audit log finds, and what of it somebody has accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import sqlalchemy as sa

from services.audit.anchors import Anchor
from services.audit.model import SEAL, AuditRow, row_hash, seal_of
from services.audit.stored import UnreadableRow, stored_rows, to_row
from services.catalog.schema import audit_log
from services.health.model import Severity
from services.installation import Installation
from services.own_key import key_id, own_key

Kind = Literal["changed", "removed", "added", "broken link", "rewritten", "sealed elsewhere", "anchor", "no anchor"]
ACCEPT = "audit.accept"
MOST = 50
"""So many findings are listed one by one, those that nobody accepted first; of the rest the number is said."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written."""

    kind: Kind
    severity: Severity
    number: int
    """Of the row, or 0."""
    sentence: str
    key: str
    """The same for the same finding, whenever it is found; what ``backups audit accept`` names."""
    accepted: str = ""
    """By whom and why, where somebody has looked into it."""
    also: tuple[str, ...] = ()
    """The keys of what is told in the same sentence."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is to be accepted."""
        return (self.key, *self.also)


@dataclass(frozen=True)
class Verdict:
    """What a verification found."""

    rows: int
    newest: int
    """The newest row's number; 0 for an empty log."""
    newest_hash: str
    chain: str
    """The hash of row 1, which names the log; empty for an empty one."""
    findings: tuple[Finding, ...]
    """Those that nobody accepted first."""
    more: int
    """So many further findings, which nobody accepted, are not listed."""
    anchors: tuple[Anchor, ...] = field(default=())

    @property
    def severity(self) -> Severity:
        """``ok``, ``warning`` (something could not be checked), ``unknown`` (a storage is away) or ``failure``."""
        found = {finding.severity for finding in self.findings if not finding.accepted}
        if self.more or "failure" in found:
            return "failure"
        return "warning" if "warning" in found else "unknown" if "unknown" in found else "ok"

    @property
    def sentence(self) -> str:
        """How the log stands, in one sentence."""
        open_ones = [finding for finding in self.findings if not finding.accepted]
        if not open_ones:
            return f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}, none changed, removed or added"
        broken = [finding for finding in open_ones if finding.severity == "failure"]
        first = (broken or open_ones)[0]
        rest = len(open_ones) + self.more - 1
        return first.sentence + (f" And {rest:,} more." if rest else "")


class Findings:
    """Gathers what is found. Of a log of which nothing is as it was, a bounded part is kept, unless ``every``."""

    def __init__(self, accepted: dict[str, str], *, every: bool = False) -> None:
        self.accepted = accepted
        self._most = None if every else MOST
        self._open: list[Finding] = []
        self._settled: list[Finding] = []
        self.more = 0

    def add(self, finding: Finding) -> None:
        """Take a finding. One of several keys is accepted when all of them are."""
        whys = [self.accepted.get(key, "") for key in finding.keys]
        if all(whys):
            if self._most is None or len(self._settled) < self._most:
                self._settled.append(replace(finding, accepted=whys[0]))
        elif self._most is None or len(self._open) < self._most:
            self._open.append(finding)
        else:
            self.more += 1

    def groups(self, keys: Iterable[str]) -> list[tuple[str, ...]]:
        """Return keys that can be told in one sentence: those that nobody accepted, and what was accepted together."""
        found: dict[str, list[str]] = {"": []}
        for key in keys:
            found.setdefault(self.accepted.get(key, ""), []).append(key)
        return [tuple(group) for group in found.values() if group]

    @property
    def listed(self) -> tuple[Finding, ...]:
        """Those that nobody accepted first."""
        return tuple((self._open + self._settled)[: self._most])


class Sealer:
    """Tells whether a row is one that was written with our key, unchanged."""

    def __init__(self, installation: Installation) -> None:
        self._key = own_key(installation.settings, SEAL)
        self.id = key_id(self._key)

    def has_hash(self, row: AuditRow) -> bool:
        """Say whether the row has the hash that it should have."""
        return not isinstance(row, UnreadableRow) and row_hash(row) == row.hash

    def has_seal(self, row: AuditRow) -> bool:
        """Say whether the row's hash is sealed with our key."""
        return row.seal == seal_of(self._key, self.id, row.hash)


def accepted_keys(connection: sa.Connection, sealer: Sealer) -> dict[str, str]:
    """Return by key who accepted a finding and why; what was added behind the product's back accepts nothing."""
    c = audit_log.c
    query = stored_rows().where(c.action == ACCEPT, c.outcome == "done").order_by(c.number)
    found: dict[str, str] = {}
    for row in map(to_row, connection.execute(query)):
        keys = row.values.get("findings")
        if isinstance(keys, list) and sealer.has_hash(row) and sealer.has_seal(row):
            found |= dict.fromkeys(map(str, keys), f"{row.actor}, row {row.number}: {row.reason}")
    return found
