"""Settings that changed between two starts: which keys, never what they say.

Of each value a keyed hash is kept (HMAC-SHA256, its first 8 digits), from which no reader of the log can guess it. Of
very many settings one is kept for each section (``databases.la_factoria``, or ``databases``): they must fit into a row.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr

from services.audit.model import AuditRow, Entry
from services.audit.record import record
from services.audit.stored import stored_rows, to_row
from services.catalog.schema import audit_log
from services.errors import BackupsError
from services.installation import Installation
from services.own_key import own_key
from services.settings.model import Settings

logger = logging.getLogger(__name__)
SETTINGS = "settings.change"
_DIGITS = 8
_LISTED = 100
"""So many changed settings are named."""
_MOST = 15_000
"""Characters that the hashes may take in a row's detail."""

Seen = dict[str, dict[str, str] | str]
"""By section, by the rest of its path, the keyed hash of a setting; of very many settings one hash for the section."""


def note_settings(installation: Installation, process: str) -> AuditRow | None:
    """Record which settings differ from those of the last start of such a process on this machine, if any do.

    Called when a worker or a dashboard starts. Never raises: backups that stop would be worse than this unrecorded,
    and what is wrong with the log is found by its own check.
    """
    try:
        now = digests(installation.settings)
        if len(json.dumps(now)) > _MOST:
            now = {section: _of_all(each) for section, each in now.items()}
        if len(json.dumps(now)) > _MOST:
            whole_ones = sorted({section.partition(".")[0] for section in now})
            now = {
                first: _of_all({name: _of_all(each) for name, each in now.items() if name.partition(".")[0] == first})
                for first in whole_ones
            }
        who = f"{process} on {socket.gethostname()}"
        before = _last(installation, who)
        if before == now:
            return None
        changed = changes(before, now) if before else []
        whole = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()[:16]
        detail: dict[str, Any] = {"settings": whole, "changed": changed[:_LISTED], "hashes": now}
        if len(changed) > _LISTED:
            detail["more"] = len(changed) - _LISTED
        if not before:
            detail["first"] = True
        return record(installation, Entry("settings", SETTINGS, "process", who, detail=detail))
    except (BackupsError, sa.exc.SQLAlchemyError):
        logger.exception("the settings could not be noted in the audit log")
        return None


def digests(settings: Settings) -> Seen:
    """Return a keyed hash of each setting, by its section and the rest of its path."""
    key = own_key(settings, "settings digest v1")
    found: dict[str, dict[str, str]] = {}
    for path, value in _leaves("", settings):
        section, _, name = path.rpartition(".")
        digest = hmac.new(key, f"{path}={value}".encode(), hashlib.sha256).hexdigest()[:_DIGITS]
        found.setdefault(section, {})[name] = digest
    return {**found}


def changes(before: Seen, now: Seen) -> list[str]:
    """Return the paths of the settings that differ, or of their sections where no more is known."""
    found = []
    for section in before.keys() | now.keys():
        old, new = before.get(section, {}), now.get(section, {})
        if isinstance(old, dict) and isinstance(new, dict):
            differing = (name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            found += [f"{section}.{name}".lstrip(".") for name in differing]
        elif _of_all(old) != _of_all(new):
            found.append(section)
    return sorted(found)


def _of_all(section: dict[str, str] | str) -> str:
    """Return one hash for a section; of hashes that are keyed, so it tells nobody anything either."""
    if isinstance(section, str):
        return section
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()[:_DIGITS] if section else ""


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            # A default is not noted: it may change with a version, and the log is to stay small.
            if name in value.model_fields_set:
                yield from _leaves(f"{path}.{name}" if path else name, getattr(value, name))
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for n, each in enumerate(value):
            yield from _leaves(f"{path}.{getattr(each, 'name', n)}", each)
    elif isinstance(value, SecretStr):
        yield path, value.get_secret_value()
    elif isinstance(value, tuple) and value and isinstance(value[0], SecretStr):
        yield path, "\n".join(each.get_secret_value() for each in value)
    else:
        yield path, str(value)


def _last(installation: Installation, who: str) -> Seen:
    query = (
        stored_rows()
        .where(audit_log.c.action == SETTINGS, audit_log.c.target == who)
        .order_by(audit_log.c.number.desc())
        .limit(1)
    )
    with installation.catalog.engine.connect() as connection:
        found = connection.execute(query).one_or_none()
    noted = to_row(found).values.get("hashes") if found is not None else None
    return noted if isinstance(noted, dict) else {}
