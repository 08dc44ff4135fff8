"""What a database held at one instant: counts and order-free content hashes, and the objects around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TableFingerprint:
    """One table with rows of its own (ordinary tables, partitions, materialized views)."""

    schema: str
    name: str
    rows: int
    hash: str | None
    """Decimal sum of the rows' 64-bit hashes; None: counted only (``why_no_hash`` says why)."""
    method: str
    """``record``: hash_record_extended of the row; ``text``: hashtextextended of the row's text; ``count``."""
    bytes: int
    kind: str = "table"
    """``table`` or ``materialized view``."""
    why_no_hash: str = ""


@dataclass(frozen=True)
class Fingerprint:
    """Everything that a restored database is compared with."""

    server_version: str
    tables: tuple[TableFingerprint, ...]
    sequences: dict[str, str] = field(default_factory=dict)
    """``schema.name`` -> ``last_value/is_called``."""
    objects: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """kind (``indexes``, ``constraints``, ``views``, ``functions``, ``triggers``, ``extensions``, ``large objects``, …)
    -> sorted identities with what defines them, so that equality is meaningful."""
    on_excluded: dict[str, tuple[str, ...]] | None = None
    """Of a partial backup: kind (``constraints``, ``rules``) -> identities of those of kept tables that are built on an
    excluded one; None where that was not recorded, in manifests from before it was."""
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.tables)

    def to_json(self) -> dict[str, Any]:
        """Return the form that the manifest holds."""
        return {
            "server_version": self.server_version,
            "seconds": self.seconds,
            "tables": [
                {
                    "schema": t.schema,
                    "name": t.name,
                    "kind": t.kind,
                    "rows": t.rows,
                    "hash": t.hash,
                    "method": t.method,
                    "bytes": t.bytes,
                    "why_no_hash": t.why_no_hash,
                }
                for t in self.tables
            ],
            "sequences": dict(self.sequences),
            "objects": _lists(self.objects),
            "on_excluded": None if self.on_excluded is None else _lists(self.on_excluded),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Fingerprint:
        """Return the fingerprint that ``to_json`` wrote. Raise KeyError or TypeError for anything else."""
        return cls(
            server_version=data["server_version"],
            seconds=float(data.get("seconds", 0.0)),
            tables=tuple(TableFingerprint(**t) for t in data["tables"]),
            sequences=dict(data["sequences"]),
            objects=_tuples(data["objects"]),
            on_excluded=None if data.get("on_excluded") is None else _tuples(data["on_excluded"]),
        )


def _lists(entries: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {kind: list(names) for kind, names in entries.items()}


def _tuples(entries: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(names) for kind, names in entries.items()}
