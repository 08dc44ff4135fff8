"""The heartbeat for an outside watchdog: the one thing that notices when nothing here lives any more.

As healthchecks.io and its like understand it: the address is asked while all is well, the address with ``/fail``
while something has failed. When neither comes, the watchdog alarms.
"""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

from services.catalog.duties import claim_duty
from services.health.model import HealthReport
from services.installation import Installation

logger = logging.getLogger(__name__)

DUTY = "heartbeat"
SECONDS = 10.0
"""How long the watchdog may take to answer."""
_SLACK = timedelta(seconds=20)
"""Ticks come every quarter of a minute: one that is a little early must not wait for the next."""


def beat(installation: Installation, report: HealthReport | None, *, by: str) -> bool | None:
    """Tell the watchdog how things stand, once within ``heartbeat_every`` whatever the number of workers.

    Without a report the catalogue does not answer, which is told at once by each. Return whether the watchdog heard it;
    None when it was not due, or there is none. Warnings count as well: they have their alerts, and a watchdog that is
    red for weeks would be muted.
    """
    alerts = installation.settings.alerts
    if alerts.heartbeat_url is None:
        return None
    if report is not None:
        every = max(alerts.heartbeat_every - _SLACK, timedelta(0))
        if not claim_duty(installation.catalog.engine, DUTY, by=by, every=every, now=installation.clock()):
            return None
    well = report is not None and report.worst in ("ok", "warning")
    return _ask(alerts.heartbeat_url.get_secret_value(), well=well, text=_words(report))


def address(url: str, *, well: bool) -> str:
    """Return the address to ask: as it is, or with ``/fail`` at the end of its path."""
    parts = urlsplit(url)
    return url if well else urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/fail"))


def _words(report: HealthReport | None) -> str:
    """Return counts alone: what is wrong, and with which database, stays here."""
    if report is None:
        return "the catalogue does not answer"
    return f"{report.count('failure')} failed, {report.count('unknown')} unknown, {report.count('warning')} warnings"


def _ask(url: str, *, well: bool, text: str) -> bool:
    request = urllib.request.Request(address(url, well=well), data=text.encode(), method="POST")  # noqa: S310 - http(s), says the setting
    request.add_header("Content-Type", "text/plain")
    request.add_header("User-Agent", "Backups")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # nosec B310  # noqa: S310 - see above
            return True
    except urllib.error.HTTPError as error:
        logger.warning("the watchdog of heartbeat_url answered %s", error.code)
    except (OSError, ValueError, http.client.HTTPException) as error:  # the last: what answers speaks no HTTP
        logger.warning("the watchdog of heartbeat_url cannot be reached (%s)", type(error).__name__)
    return False
