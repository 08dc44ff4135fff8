"""Settings that changed between two starts: which keys, never what they say.

Of each value a keyed hash is kept (HMAC-SHA256, its first 12 digits), from which no reader of the log can guess it.
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
_DIGITS = 12


def note_settings(installation: Installation, process: str) -> AuditRow | None:
    """Record which settings differ from those of the last start of such a process on this machine, if any do.

    Called when a worker or a dashboard starts. Never raises: backups that stop would be worse than this unrecorded,
    and what is wrong with the log is found by its own check.
    """
    try:
        now = digests(installation.settings)
        who = f"{process} on {socket.gethostname()}"
        before = _last(installation, who)
        if before == now:
            return None
        changed = sorted(key for key in {**before, **now} if before.get(key) != now.get(key)) if before else []
        whole = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()[:16]
        detail: dict[str, Any] = {"settings": whole, "changed": changed, "digests": now}
        if not before:
            detail["first"] = True
        return record(installation, Entry("settings", SETTINGS, "process", who, detail=detail))
    except (BackupsError, sa.exc.SQLAlchemyError):
        logger.exception("the settings could not be noted in the audit log")
        return None


def digests(settings: Settings) -> dict[str, str]:
    """Return a keyed hash of each setting, by its path: ``databases.la_factoria.rpo``."""
    key = own_key(settings, "settings digest v1")
    return {
        path: hmac.new(key, f"{path}={value}".encode(), hashlib.sha256).hexdigest()[:_DIGITS]
        for path, value in _leaves("", settings)
    }


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


def _last(installation: Installation, who: str) -> dict[str, str]:
    query = (
        stored_rows()
        .where(audit_log.c.action == SETTINGS, audit_log.c.target == who)
        .order_by(audit_log.c.number.desc())
        .limit(1)
    )
    with installation.catalog.engine.connect() as connection:
        found = connection.execute(query).one_or_none()
    noted = to_row(found).values.get("digests") if found is not None else None
    return noted if isinstance(noted, dict) else {}
