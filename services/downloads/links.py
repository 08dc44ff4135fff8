"""Links to downloads: signed with the installation's own key, good for a short time and for one download.

For one download, not for the session of whoever asked: the route that streams knows no session of Streamlit's, a cookie
says who somebody is for hours, and a link that was used is worth nothing in a browser's history, a proxy's log or a
chat. That it was used is told by the audit log itself, whose rows are written one at a time, whatever number of
dashboards there is. Whether its person still may is looked up again when it is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from services.audit.model import Entry
from services.audit.record import NotRecorded, record, take_turn
from services.catalog.schema import audit_log
from services.downloads.model import Form
from services.errors import BackupsError
from services.installation import Installation
from services.own_key import own_key

GOOD_FOR = timedelta(minutes=5)
"""From the click to the beginning of the download; how long that takes is no matter then."""
DOWNLOAD = "download"
_PURPOSE = "download link v1"
_LONGEST = 2000


class LinkRefused(BackupsError):
    """The link is not one of ours, has expired, or was used."""

    may_pass = False
    is_refusal = True


@dataclass(frozen=True)
class Link:
    """What a link says."""

    id: str
    backup_id: str
    storage: str
    form: Form
    actor: str
    expires: int
    """Seconds since 1970, UTC."""
    since: int
    """The newest row of the audit log when it was made: its use is looked for after that."""


def write_link(installation: Installation, link: Link) -> str:
    """Return a link as text for a URL."""
    text = _encode(json.dumps(asdict(link), sort_keys=True, separators=(",", ":")).encode())
    return f"{text}.{_encode(_sign(installation, text))}"


def read_link(installation: Installation, text: str) -> Link:
    """Return what a link says. Raise LinkRefused when it is not ours or was changed, and when it has expired."""
    body, dot, signature = text.partition(".")
    try:
        given = _decode(signature)
        right = len(text) <= _LONGEST and bool(dot) and hmac.compare_digest(given, _sign(installation, body))
        link = Link(**json.loads(_decode(body))) if right else None
    except (ValueError, TypeError, binascii.Error):
        link = None
    if link is None:
        raise LinkRefused("This link was not made here, or was changed.", hint="Ask for the download again.")
    if installation.clock() >= datetime.fromtimestamp(link.expires, UTC):
        raise LinkRefused("This link has expired.", hint="Ask for the download again; a link is good for 5 minutes.")
    return link


def use_link(installation: Installation, link: Link, entry: Entry) -> None:
    """Record that a link's download begins, which uses the link up. Raise LinkRefused when it was used, NotRecorded."""
    mark = json.dumps({"link": link.id}, separators=(",", ":"))[1:-1]
    try:
        with installation.catalog.engine.begin() as connection:
            take_turn(connection)
            used = connection.scalar(
                sa.select(audit_log.c.number)
                .where(
                    audit_log.c.number > link.since,
                    audit_log.c.action == DOWNLOAD,
                    audit_log.c.detail.contains(mark, autoescape=True),
                )
                .limit(1)
            )
            if used is None:
                record(installation, entry, connection)
    except sa.exc.SQLAlchemyError as error:
        raise NotRecorded("The download could not be recorded in the audit log. It was not done.") from error
    if used is not None:
        raise LinkRefused("This link was used already.", hint="Ask for the download again; each link works once.")


def _sign(installation: Installation, text: str) -> bytes:
    return hmac.new(own_key(installation.settings, _PURPOSE), text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
