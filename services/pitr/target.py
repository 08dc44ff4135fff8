"""The point that a restore is to reach, and how it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from services.clock import isoformat
from services.errors import InputError
from services.pitr.wal_names import format_lsn, parse_lsn

Kind = Literal["time", "lsn", "name", "xid", "latest", "immediate"]
EXAMPLES = "2026-08-01T14:29:59Z, 0/3A2B1C8, xid:75312, name:before_deploy, latest or immediate"
_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}\Z")
_NAMED = re.compile(r"(xid|name):(.+)\Z")
_TARGETS = (
    "recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid",
)  # fmt: skip
_MOST_XID = 2**64 - 1
_MOST_NAME = 63


@dataclass(frozen=True)
class RecoveryTarget:
    """Where recovery is to stop. ``latest``: at the end of the archive; ``immediate``: as soon as data are consistent.

    ``inclusive``: whether what happened at exactly the point is in (``recovery_target_inclusive``).
    """

    kind: Kind
    at: datetime | None = None
    lsn: int | None = None
    text: str = ""
    """The transaction's number, or the restore point's name."""
    inclusive: bool = True
    timeline: int | None = None
    """None: the newest one on which it lies."""

    @classmethod
    def parse(cls, text: str, *, inclusive: bool = True, timeline: int | None = None) -> RecoveryTarget:
        """Given what a person writes (``EXAMPLES``), return the target. Raise InputError, for a time without a zone."""
        written = text.strip()
        if timeline is not None and not 1 <= timeline < 2**32:
            raise InputError(f"{timeline} is no timeline.", hint="Timelines are numbered from 1.")
        if written in ("latest", "immediate"):
            return cls("latest" if written == "latest" else "immediate", timeline=timeline)
        if _LSN.match(written):
            return cls("lsn", lsn=parse_lsn(written), inclusive=inclusive, timeline=timeline)
        if found := _NAMED.match(written):
            return cls._named(found[1], found[2].strip(), inclusive=inclusive, timeline=timeline)
        return cls("time", at=_time(written), inclusive=inclusive, timeline=timeline)

    @classmethod
    def _named(cls, kind: str, value: str, *, inclusive: bool, timeline: int | None) -> RecoveryTarget:
        if kind == "xid":
            if not value.isascii() or not value.isdigit() or not 3 <= int(value) <= _MOST_XID:
                raise InputError(f"{value!r} is no transaction.", hint="Write its number: xid:75312.")
            return cls("xid", text=value, inclusive=inclusive, timeline=timeline)
        if not value or len(value.encode()) > _MOST_NAME:
            raise InputError("A restore point has a name of 1 to 63 bytes.", hint="Write name:before_deploy.")
        return cls("name", text=value, timeline=timeline)

    @property
    def label(self) -> str:
        """Return it as a sentence names it."""
        where = {
            "time": f"{isoformat(self.at)}" if self.at else "",
            "lsn": f"LSN {format_lsn(self.lsn)}" if self.lsn is not None else "",
            "name": f"the restore point {self.text}",
            "xid": f"transaction {self.text}",
            "latest": "the end of the archive",
            "immediate": "the end of the base backup",
        }[self.kind]
        before = "" if self.inclusive or self.kind not in ("time", "lsn", "xid") else "just before "
        return f"{before}{where}" + (f" on timeline {self.timeline}" if self.timeline is not None else "")

    def settings(self, timeline: int) -> dict[str, str]:
        """Return the settings of recovery for it (PostgreSQL's documentation, "Recovery Target"), on a timeline.

        Every other target is unset, and that first: one that an earlier restore left in ``postgresql.auto.conf`` would
        count, and unsetting one after this is set would be taken for a second target.
        """
        chosen = self._chosen()
        others = {name: "" for name in _TARGETS if name not in chosen}
        inclusive = {"recovery_target_inclusive": "on" if self.inclusive else "off"}
        return {"recovery_target_timeline": str(timeline)} | inclusive | others | chosen

    def _chosen(self) -> dict[str, str]:
        if self.kind == "latest":
            return {}
        if self.kind == "immediate":
            return {"recovery_target": "immediate"}
        if self.kind == "time":
            assert self.at is not None  # parse sees to it
            # Microseconds: the precision of PostgreSQL's own timestamps.
            return {"recovery_target_time": self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")}
        if self.kind == "lsn":
            assert self.lsn is not None  # parse sees to it
            return {"recovery_target_lsn": format_lsn(self.lsn)}
        return {f"recovery_target_{self.kind}": self.text}

    def to_params(self) -> dict[str, Any]:
        """Return the form that a run's row holds."""
        written = {"time": self.at.isoformat() if self.at else "", "lsn": format_lsn(self.lsn or 0)}
        written |= {"name": f"name:{self.text}", "xid": f"xid:{self.text}"}
        return {
            "to": written.get(self.kind, self.kind),
            "inclusive": self.inclusive,
            "timeline": self.timeline,
        }

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> RecoveryTarget:
        """Return what ``to_params`` wrote."""
        return cls.parse(params["to"], inclusive=bool(params["inclusive"]), timeline=params["timeline"])


def refuse_future(target: RecoveryTarget, now: datetime) -> None:
    """Raise InputError for a time that has not come yet."""
    if target.at is not None and target.at > now:
        raise InputError(
            f"{isoformat(target.at)} lies in the future; it is {isoformat(now)}.",
            hint="Give a time that has passed, or `latest` for all that is archived.",
        )


def _time(written: str) -> datetime:
    try:
        naive = datetime.fromisoformat(written)
    except ValueError:
        raise InputError(f"{written!r} is no point to restore to.", hint=f"Write one like {EXAMPLES}.") from None
    if naive.tzinfo is None:
        raise InputError(
            f"The time {written} has no zone: it would mean another instant on every machine.",
            hint=f"Write {written.replace(' ', 'T')}Z for UTC, or an offset such as +02:00.",
        )
    return naive.astimezone(UTC)
