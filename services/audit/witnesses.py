"""What others remember of the audit log: the anchors in the storages, and this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from services.audit.anchors import Anchor
from services.audit.findings import Finding, Findings, Kind
from services.audit.head import Head
from services.audit.model import AuditRow


class Witnesses:
    """Compared with each row, and with the end."""

    def __init__(self, anchors: Iterable[Anchor], head: Head | None, findings: Findings) -> None:
        self._anchors = list(anchors)
        self._head = head
        self._findings = findings
        self._usable = [anchor for anchor in self._anchors if not _fault(anchor)]
        self._by_number: dict[int, list[Anchor]] = {}
        for anchor in self._usable:
            self._by_number.setdefault(anchor.number, []).append(anchor)
        self._differing: list[Anchor] = []

    def saw(self, row: AuditRow, chain: str) -> None:
        """Compare a row of the log of that name with who remembers it. What another log had there says nothing."""
        self._differing += [
            anchor
            for anchor in self._by_number.get(row.number, ())
            if anchor.chain == chain and anchor.hash != row.hash
        ]
        if self._head is not None and self._head.number == row.number and self._head.hash != row.hash:
            words = f"Row {row.number} is not the one that this machine remembers: the log was rewritten."
            self._findings.add(Finding("rewritten", "failure", row.number, words, _head_key(self._head)))

    def end(self, last: int, chain: str, anchored: Mapping[str, Iterable[str]], since: int) -> None:
        """Note what the witnesses know of rows that are not there, and anchors that are gone or cannot be used.

        ``anchored``: by storage, the anchors that must be there; ``since``: the first row that was looked at.
        """
        self._note("rewritten", self._differing, _rewritten, "rewritten:{0.key}")
        logs: dict[str, Anchor] = {}
        for anchor in self._usable:
            if anchor.chain != chain and (anchor.chain not in logs or logs[anchor.chain].number < anchor.number):
                logs[anchor.chain] = anchor
        for other, newest in sorted(logs.items()):
            where = f"{newest.storage} has anchors of another log, up to row {newest.number} ({other[:12]})"
            key = f"other log:{other}:{newest.number}"
            self._findings.add(Finding("removed", "failure", newest.number, f"{where}: it is not here.", key))
        beyond = [anchor for anchor in self._usable if anchor.chain == chain and anchor.number > last]
        self._note("removed", beyond, lambda those: _removed(those, last), "rewritten:{0.key}", last + 1)
        if self._head is not None and self._head.number > last and self._head.number >= since:
            words = f"this machine remembers row {self._head.number}, the log ends at {last}."
            words = f"The newest rows were removed: {words}"
            self._findings.add(Finding("removed", "failure", last + 1, words, _head_key(self._head)))
        for fault in sorted({_fault(anchor) for anchor in self._anchors} - {""}):
            those = [anchor for anchor in self._anchors if _fault(anchor) == fault]
            self._note("anchor", those, _useless, "anchor:{0.storage}:{0.key}")
        there = {(anchor.storage, anchor.key) for anchor in self._anchors}
        for storage, keys in anchored.items():
            gone = [Anchor(storage, key, 0, "") for key in keys if (storage, key) not in there]
            self._note("anchor", gone, _gone, "anchor:{0.storage}:{0.key}")

    def _note(
        self, kind: Kind, anchors: list[Anchor], words: Callable[[list[Anchor]], str], form: str, number: int = 0
    ) -> None:
        """Tell of one storage's anchors in one sentence; of those that somebody accepted in another."""
        for storage in sorted({anchor.storage for anchor in anchors}):
            by_key = {form.format(anchor): anchor for anchor in anchors if anchor.storage == storage}
            for keys in self._findings.groups(by_key):
                those = [by_key[key] for key in keys]
                at = number or those[0].number
                self._findings.add(Finding(kind, "failure", at, words(those), keys[0], also=keys[1:]))


def _rewritten(those: list[Anchor]) -> str:
    first, more = those[0], len(those) - 1
    rows = f"{first.number} and {more:,} later ones are not those" if more else f"{first.number} is not the one"
    return f"Row {rows} that {'are' if more else 'is'} anchored in {first.storage}: the log was rewritten."


def _removed(those: list[Anchor], last: int) -> str:
    newest = max(anchor.number for anchor in those)
    know = "the anchor in {} knows row" if len(those) == 1 else f"{len(those):,} anchors in {{}} know rows up to"
    return f"The newest rows were removed: {know.format(those[0].storage)} {newest}, the log ends at {last}."


def _useless(those: list[Anchor]) -> str:
    first = those[0]
    if len(those) == 1:
        return f"The anchor {first.key} in {first.storage} is of no use: {_fault(first)}."
    return f"{len(those):,} anchors in {first.storage}, the first of them {first.key}, are of no use: {_fault(first)}."


def _gone(those: list[Anchor]) -> str:
    first = those[0]
    if len(those) == 1:
        return f"The anchor {first.key} is not in {first.storage} any more."
    return f"{len(those):,} anchors, the first of them {first.key}, are not in {first.storage} any more."


def _fault(anchor: Anchor) -> str:
    return anchor.fault or ("its signature is not ours" if anchor.trust == "untrusted" else "")


def _head_key(head: Head) -> str:
    return f"rewritten:head:{head.number}:{head.hash[:12]}"
