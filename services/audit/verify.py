"""Is the audit log what was written? Each row against its hash and seal, each link, and all of it against the anchors.

What each check finds: a changed or moved row no longer has its hash (which covers its number); a removed one leaves a
gap, or an anchor and this machine's own memory (``services.audit.head``) beyond the end; an added one has no seal,
since the key lies outside of the catalogue; a log that was written anew agrees with no anchor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

from services.audit.anchors import Anchor, read_anchors
from services.audit.head import Head, known_head, remember_head
from services.audit.model import FIRST_PREVIOUS, SEAL, AuditRow, row_hash, seal_of
from services.audit.stored import UnreadableRow, stored_rows, to_row
from services.catalog.schema import audit_log
from services.errors import BackupsError
from services.health.model import Severity
from services.installation import Installation
from services.own_key import key_id, own_key

Kind = Literal["changed", "removed", "added", "broken link", "rewritten", "sealed elsewhere", "anchor", "no anchor"]
ACCEPT = "audit.accept"
ANCHOR = "audit.anchor"
QUICK_ROWS = 200
"""So many of the newest rows are looked at where it must be quick."""
_MOST = 50
"""So many findings are listed one by one; of the rest the number is said."""
_BLOCK = 2000


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
    more: int
    """So many further findings are not listed."""
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


def verify(installation: Installation, *, storages: bool = True, every_anchor: bool = False) -> Verdict:
    """Verify the whole log. ``storages``: compare with the anchors, too. Raise what an unreachable catalogue raises."""
    anchors: list[Anchor] = []
    findings: list[Finding] = []
    read: list[str] = []
    for settings in installation.settings.storages if storages else ():
        try:
            anchors += read_anchors(installation, settings.name, every=every_anchor)
            read.append(settings.name)
        except BackupsError as error:
            words = f"The anchors in {settings.name} could not be read: {error}"
            findings.append(Finding("no anchor", "unknown", 0, words, f"away:{settings.name}"))
    witnesses = _Witnesses(anchors, known_head(installation.settings.home))
    walk = _Walk(installation, witnesses)
    with installation.catalog.engine.connect() as connection:
        for row in _rows(connection):
            walk.look(row)
    findings += walk.findings + witnesses.beyond(walk)
    there = {(anchor.storage, anchor.key) for anchor in anchors}
    for name in read:
        if (key := walk.anchored.get(name)) and (name, key) not in there:
            words = f"The anchor {key} is not in {name} any more."
            findings.append(Finding("anchor", "failure", 0, words, f"anchor:{name}:{key}"))
    listed = tuple(_accepted(finding, walk.accepted) for finding in findings)
    verdict = Verdict(
        walk.rows, walk.number, walk.hash, walk.chain, listed[:_MOST], max(0, len(listed) - _MOST) + walk.unlisted,
        tuple(anchors),
    )  # fmt: skip
    if verdict.severity in ("ok", "unknown"):
        remember_head(installation.settings.home, walk.number, walk.hash)
    return verdict


def look_quickly(installation: Installation) -> Verdict:
    """Verify the newest rows alone, and that none was cut off: one query, whatever the log's size."""
    witnesses = _Witnesses([], known_head(installation.settings.home))
    with installation.catalog.engine.connect() as connection:
        newest = stored_rows().order_by(audit_log.c.number.desc()).limit(QUICK_ROWS)
        rows = [to_row(row) for row in connection.execute(newest)][::-1]
    # Of a short log the first row is there, and must be number 1.
    first = 1 if len(rows) < QUICK_ROWS else min((row.number for row in rows if row.number), default=1)
    walk = _Walk(installation, witnesses, begin_at=first)
    for row in rows:
        walk.look(row)
    findings = walk.findings + witnesses.beyond(walk, since=first)
    listed = tuple(_accepted(finding, walk.accepted) for finding in findings)
    if not findings:
        remember_head(installation.settings.home, walk.number, walk.hash)
    return Verdict(walk.rows, walk.number, walk.hash, walk.chain, listed[:_MOST], max(0, len(listed) - _MOST))


class _Walk:
    """The rows one after the other, and what is wrong with them."""

    def __init__(self, installation: Installation, witnesses: _Witnesses, *, begin_at: int = 1) -> None:
        key = own_key(installation.settings, SEAL)
        self._key, self._id = key, key_id(key)
        self._witnesses = witnesses
        self._elsewhere: dict[str, tuple[int, int]] = {}
        self._skip_link = begin_at > 1
        self.rows = 0
        self.number = begin_at - 1
        self.hash = FIRST_PREVIOUS
        self.chain = ""
        self.findings: list[Finding] = []
        self.unlisted = 0
        self.accepted: dict[str, str] = {}
        self.anchored: dict[str, str] = {}
        """By storage, the key of the last anchor that the log itself speaks of."""

    def look(self, row: AuditRow) -> None:
        self.rows += 1
        if not row.number:
            self._find("changed", row, "A row was changed: its number is none.")
            return
        if row.number != self.number + 1:
            self._gap(self.number + 1, row.number - 1)
        elif row.previous != self.hash and not self._skip_link:
            self._find("broken link", row, f"Row {row.number} does not follow the row before it.")
        is_right = self._check(row)
        if row.number == 1:
            self.chain = row.hash
        self._skip_link = False
        self._witnesses.saw(row, self)
        if is_right and row.action == ACCEPT and row.outcome == "done":
            keys = row.values.get("findings")
            why = f"{row.actor}, row {row.number}: {row.reason}"
            self.accepted |= dict.fromkeys(map(str, keys), why) if isinstance(keys, list) else {}
        if row.action == ANCHOR and row.outcome == "done":
            self.anchored[row.target] = str(row.values.get("key", ""))
        self.number, self.hash = row.number, row.hash

    def _check(self, row: AuditRow) -> bool:
        """Say whether the row is one that was written with our key, unchanged; note what is wrong with it."""
        if isinstance(row, UnreadableRow) or row_hash(row) != row.hash:
            self._find("changed", row, f"Row {row.number} was changed, or moved here: it does not have its hash.")
            return False
        signer = row.seal.partition(":")[0]
        if signer == self._id:
            if row.seal == seal_of(self._key, self._id, row.hash):
                return True
            self._find("added", row, f"Row {row.number} was changed or added behind the product's back: a false seal.")
        elif len(signer) == 8 and len(row.seal) == 73:
            first, count = self._elsewhere.get(signer, (row.number, 0))
            self._elsewhere[signer] = (first, count + 1)
        else:
            self._find("added", row, f"Row {row.number} was added behind the product's back: it has no seal.")
        return False

    def sealed_elsewhere(self) -> Iterator[Finding]:
        """Yield what is sealed with keys that this machine does not have."""
        for signer, (first, count) in self._elsewhere.items():
            rows = "1 row, row" if count == 1 else f"{count:,} rows, the first of them row"
            words = f"{rows} {first}, sealed with a key that is not here ({signer}): a forgery could not be told."
            yield Finding("sealed elsewhere", "warning", first, words, f"sealed elsewhere:{signer}:{first}:{count}")

    def _gap(self, first: int, last: int) -> None:
        if last < first:  # the same number twice cannot be, but what is tampered with may be anything
            words = f"Row {first} stands out of order."
        else:
            words = f"Row {first} was removed." if first == last else f"Rows {first} to {last} were removed."
        self.add(Finding("removed", "failure", first, words, f"removed:{first}-{last}"))

    def _find(self, kind: Kind, row: AuditRow, words: str) -> None:
        self.add(Finding(kind, "failure", row.number, words, f"{kind}:{row.number}:{_content(row)[:12]}"))

    def add(self, finding: Finding) -> None:
        if len(self.findings) < 2 * _MOST:
            self.findings.append(finding)
        else:
            self.unlisted += 1


class _Witnesses:
    """What others remember of the log: the anchors in the storages, and this machine."""

    def __init__(self, anchors: Iterable[Anchor], head: Head | None) -> None:
        self._anchors = list(anchors)
        self._head = head
        self._by_number: dict[int, list[Anchor]] = {}
        for anchor in self._anchors:
            self._by_number.setdefault(anchor.number, []).append(anchor)

    def saw(self, row: AuditRow, walk: _Walk) -> None:
        """Compare a row with who remembers it."""
        for anchor in self._by_number.get(row.number, ()):
            if not anchor.fault and anchor.trust != "untrusted" and not row.hash.startswith(anchor.hash):
                words = f"Row {row.number} is not the one that is anchored in {anchor.storage}: the log was rewritten."
                walk.add(Finding("rewritten", "failure", row.number, words, f"rewritten:{anchor.key}"))
        if self._head is not None and self._head.number == row.number and self._head.hash != row.hash:
            words = f"Row {row.number} is not the one that this machine remembers: the log was rewritten."
            walk.add(Finding("rewritten", "failure", row.number, words, _head_key(self._head)))

    def beyond(self, walk: _Walk, *, since: int = 1) -> list[Finding]:
        """Return what the witnesses know of rows that are not there, and the anchors that cannot be used."""
        found: list[Finding] = list(walk.sealed_elsewhere())
        chains = {anchor.chain for anchor in self._anchors if anchor.chain and anchor.trust != "untrusted"}
        for chain in sorted(chains - {walk.chain}):
            of_it = [anchor for anchor in self._anchors if anchor.chain == chain]
            last = max(of_it, key=lambda anchor: anchor.number)
            words = (
                f"{last.storage} has anchors of another log, up to row {last.number} ({chain[:12]}): it is not here."
            )
            found.append(Finding("removed", "failure", last.number, words, f"other log:{chain}:{last.number}"))
        end = f"the log ends at {walk.number}."
        for anchor in self._anchors:
            ours = anchor.chain in ("", walk.chain) and not anchor.fault and anchor.trust != "untrusted"
            if ours and anchor.number > walk.number:
                words = f"The newest rows were removed: the anchor in {anchor.storage} knows row {anchor.number}, {end}"
                found.append(Finding("removed", "failure", walk.number + 1, words, f"rewritten:{anchor.key}"))
        if self._head is not None and self._head.number > walk.number and self._head.number >= since:
            words = f"The newest rows were removed: this machine remembers row {self._head.number}, {end}"
            found.append(Finding("removed", "failure", walk.number + 1, words, _head_key(self._head)))
        for anchor in self._anchors:
            fault = anchor.fault or ("its signature is not ours" if anchor.trust == "untrusted" else "")
            if fault:
                words = f"The anchor {anchor.key} in {anchor.storage} is of no use: {fault}."
                found.append(
                    Finding("anchor", "failure", anchor.number, words, f"anchor:{anchor.storage}:{anchor.key}")
                )
        return found


def _content(row: AuditRow) -> str:
    return row.digest if isinstance(row, UnreadableRow) else row_hash(row)


def _head_key(head: Head) -> str:
    return f"rewritten:head:{head.number}:{head.hash[:12]}"


def _accepted(finding: Finding, accepted: dict[str, str]) -> Finding:
    if finding.key not in accepted:
        return finding
    return Finding(**(vars(finding) | {"accepted": accepted[finding.key]}))


def _rows(connection: sa.Connection) -> Iterator[AuditRow]:
    query = stored_rows().order_by(audit_log.c.number)
    with connection.execution_options(yield_per=_BLOCK).execute(query) as found:
        for row in found:
            yield to_row(row)
