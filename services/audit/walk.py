"""The rows of the audit log one after the other, and what is wrong with them."""

from __future__ import annotations

from services.audit.findings import Finding, Findings, Kind, Sealer
from services.audit.model import FIRST_PREVIOUS, AuditRow, row_hash
from services.audit.stored import UnreadableRow
from services.audit.witnesses import Witnesses

ANCHOR = "audit.anchor"


class Walk:
    """Looks at each row, in order."""

    def __init__(self, sealer: Sealer, findings: Findings, witnesses: Witnesses, *, begin_at: int = 1) -> None:
        self._sealer = sealer
        self._findings = findings
        self._witnesses = witnesses
        self._elsewhere: dict[str, dict[str, int]] = {}
        self._skip_link = begin_at > 1
        self.rows = 0
        self.number = begin_at - 1
        self.hash = FIRST_PREVIOUS
        self.chain = ""
        self.anchored: dict[str, dict[str, int]] = {}
        """By storage, the keys of the anchors that the log itself speaks of, and in which rows."""

    def look(self, row: AuditRow) -> None:
        """Look at the next row."""
        self.rows += 1
        if not row.number:
            self._find("changed", row, "A row was changed: its number is none.")
            return
        if row.number != self.number + 1:
            self._gap(self.number + 1, row.number - 1)
        elif row.previous != self.hash and not self._skip_link:
            self._find("broken link", row, f"Row {row.number} does not follow the row before it.")
        self._check(row)
        if row.number == 1:
            self.chain = row.hash
        self._skip_link = False
        self._witnesses.saw(row, self.chain)
        if row.action == ANCHOR and row.outcome == "done" and (key := row.values.get("key")):
            self.anchored.setdefault(row.target, {})[str(key)] = row.number
        self.number, self.hash = row.number, row.hash

    def end(self) -> None:
        """Note what is sealed with keys that this machine does not have: whoever makes one up has such a row."""
        for signer, rows in self._elsewhere.items():
            for keys in self._findings.groups(rows):
                first = rows[keys[0]]
                count = "1 row, row" if len(keys) == 1 else f"{len(keys):,} rows, the first of them row"
                words = f"{count} {first}, sealed with a key that is not here ({signer}): a forgery could not be told."
                self._findings.add(Finding("sealed elsewhere", "failure", first, words, keys[0], also=keys[1:]))

    def _check(self, row: AuditRow) -> None:
        """Note what is wrong with a row by itself."""
        if not self._sealer.has_hash(row):
            self._find("changed", row, f"Row {row.number} was changed, or moved here: it does not have its hash.")
            return
        signer = row.seal.partition(":")[0]
        if signer == self._sealer.id:
            if not self._sealer.has_seal(row):
                words = f"Row {row.number} was changed or added behind the product's back: a false seal."
                self._find("added", row, words)
        elif len(signer) == 8 and len(row.seal) == 73:
            self._elsewhere.setdefault(signer, {})[f"sealed elsewhere:{row.number}:{row.hash[:16]}"] = row.number
        else:
            self._find("added", row, f"Row {row.number} was added behind the product's back: it has no seal.")

    def _gap(self, first: int, last: int) -> None:
        if last < first:  # the same number twice cannot be, but what is tampered with may be anything
            words = f"Row {first} stands out of order."
        else:
            words = f"Row {first} was removed." if first == last else f"Rows {first} to {last} were removed."
        self._findings.add(Finding("removed", "failure", first, words, f"removed:{first}-{last}"))

    def _find(self, kind: Kind, row: AuditRow, words: str) -> None:
        content = row.digest if isinstance(row, UnreadableRow) else row_hash(row)
        self._findings.add(Finding(kind, "failure", row.number, words, f"{kind}:{row.number}:{content[:12]}"))
