"""What needs a second person, and what exactly was asked for. See docs/credentials.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from services.catalog.approvals import Rule
from services.catalog.model import MACHINES, RunKind
from services.catalog.schema import backups
from services.installation import Installation
from services.settings.model import Settings

LASTS = timedelta(hours=24)
"""So long a wish can be approved."""
_RESTORES: tuple[RunKind, ...] = ("restore", "point_restore")
NOT_CONTENT = ("approval", "queued", "attended", "unattended", "slot")
"""Parameters of a run that say how it is carried out, not what."""
NEEDS: dict[RunKind, str] = {
    "cleanup": "backup.delete", "restore": "restore.database", "point_restore": "point.restore"
}  # fmt: skip
"""What whoever asks and whoever approves must be permitted to do themselves, by the kind of run."""
CHUNK = 500
_NAMED = 5


def rule_of(settings: Settings, kind: RunKind, params: Mapping[str, Any], actor: str) -> Rule | None:
    """Return the rule that asks for a second person, None where none does.

    What the schedule deletes by the retention policy needs none: nobody asked for it but the settings.
    """
    if "restore" in settings.two_person and kind in _RESTORES:
        return "restore"
    if "delete" not in settings.two_person or kind != "cleanup" or not params.get("apply"):
        return None
    chosen = bool(params.get("by_hand")) or params.get("only") is not None
    by_schedule = actor in MACHINES and bool(params.get("slot")) and not chosen
    return None if by_schedule else "delete"


def why_not_second(settings: Settings, asked_by: str, decider: str) -> str:
    """Return why whoever decides is no second person beside whoever asked, or nothing.

    Where people sign in, both must have: the command line knows a user of the system, behind which may stand anybody
    who has signed in as well. Without sign-in that user is all that is known, on whatever machine: a container has a
    new name for each start. So a wish of the command line is first taken over by somebody who has signed in.
    """
    if not may_take_part(settings, decider):
        return "People sign in here, so whoever approves must have signed in: the command line cannot tell who it is."
    if not may_take_part(settings, asked_by):
        return f"{asked_by} asked on the command line, which cannot tell who of those who sign in that was."
    if _person(asked_by) == _person(decider):
        return f"{asked_by} asked for it, so somebody else must approve it."
    return ""


def may_take_part(settings: Settings, actor: str) -> bool:
    """Say whether it is known which person an actor is, as far as it can be."""
    return settings.access.mode == "none" or not actor.startswith("cli:")


def _person(actor: str) -> str:
    return actor.rpartition("@")[0] if actor.startswith("cli:") and "@" in actor else actor


def digest_of(
    installation: Installation,
    kind: RunKind,
    *,
    database: str | None,
    backup_id: str | None,
    params: Mapping[str, Any],
) -> str:
    """Return the sha256 of what is asked for and of the backups that it is about, as they are now.

    Of each backup its bytes, whether it is pinned, and whether it is there: if any of that changes, it is another wish.
    """
    ids = sorted({*(params.get("only") or ()), *([backup_id] if backup_id else ())})
    content = {name: value for name, value in params.items() if name not in NOT_CONTENT}
    document = {
        "kind": kind,
        "database": database,
        "backup_id": backup_id,
        "params": content,
        "backups": _as_they_are(installation, ids),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _as_they_are(installation: Installation, ids: Sequence[str]) -> list[list[Any]]:
    columns = (backups.c.id, backups.c.sha256, backups.c.pinned, backups.c.state)
    found: list[list[Any]] = []
    with installation.catalog.engine.connect() as connection:
        for start in range(0, len(ids), CHUNK):
            query = sa.select(*columns).where(backups.c.id.in_(ids[start : start + CHUNK])).order_by(backups.c.id)
            found += [list(row) for row in connection.execute(query)]
    return found


def summary_of(
    installation: Installation, kind: RunKind, *, database: str | None, backup_id: str | None, params: Mapping[str, Any]
) -> str:
    """Say in a sentence what is asked for."""
    catalog = installation.catalog.backups
    if kind == "restore":
        part = [*params.get("tables", ()), *params.get("schemas", ())]
        what = f"{', '.join(part)} of " if part else ""
        where = "the restore test server" if params.get("server") == "restore-test" else "the source's server"
        return f"Restore {what}{catalog.get(backup_id or '').name} into {params['target']} on {where}"
    if kind == "point_restore":
        moment = params.get("at") or params.get("lsn") or params.get("name") or params.get("target") or "the latest"
        return f"Restore {database} to {moment} into {params['into']}"
    ids = list(params.get("only") or ())
    named = [catalog.get(one).name for one in ids[:_NAMED]]
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    many = "1 backup" if len(ids) == 1 else f"{len(ids):,} backups"
    of = f" of {database}" if database else ""
    forced = f", forced: {params['force_reason']}" if params.get("force_reason") else ""
    return f"Delete {many}{of}: {', '.join(named)}{more}{forced}"
