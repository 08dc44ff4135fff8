"""The read model of the page *Health and alerts*, and of the line about it on the overview."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from services.alerts.model import Alert
from services.alerts.store import HistoryQuery, history, open_alerts
from services.catalog.duties import last_done
from services.catalog.workers import Worker
from services.health.checks import examine
from services.health.model import HealthReport
from services.installation import Installation
from services.notify.channels import channel_labels
from services.notify.outbox import Delivery, Message, delivery, recent_messages


@dataclass(frozen=True)
class AlertBoard:
    """Everything that the page shows."""

    report: HealthReport
    open: tuple[Alert, ...]
    """Worst first; those that nobody looks after before the others."""
    history: tuple[Alert, ...]
    """Newest first, as the filters say."""
    messages: tuple[Message, ...]
    """Those that wait first, then the newest."""
    delivery: Delivery
    channels: tuple[str, ...]
    looked: bool
    """Whether anybody has ever evaluated the alerts."""
    workers: tuple[Worker, ...]
    """Those that were heard and have not taken their leave, the latest first."""
    version: str
    """Of the product that runs here."""


def load_board(installation: Installation, wanted: HistoryQuery, *, messages: int = 50) -> AlertBoard:
    """Return the page's read model. As many queries for five years of alerts as for none; local disks are asked."""
    engine = installation.catalog.engine
    return AlertBoard(
        report=examine(installation),
        open=tuple(open_alerts(engine)),
        history=tuple(history(engine, wanted)),
        messages=tuple(recent_messages(engine, limit=messages)),
        delivery=delivery(engine, installation.clock()),
        channels=tuple(channel_labels(installation.settings.alerts)),
        looked=last_done(engine, "alerts") is not None,
        workers=tuple(installation.catalog.workers.list()),
        version=version("proven-backups"),
    )
