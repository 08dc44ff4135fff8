"""Delivering what waits in the outbox. Any number of processes may do so at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from services.installation import Installation
from services.notify.channels import Channel, NotDelivered, masked, open_channels
from services.notify.outbox import REFUSED, Message, claim, due, mark_failed, mark_sent

logger = logging.getLogger(__name__)


ROUND_LIMIT = timedelta(seconds=30)
"""After so long a look at the checks is due again, however much waits for a slow server."""
_accepted: set[str] = set()
"""Messages that a server took while the catalogue could not be told: they are marked before anything is sent again."""


@dataclass(frozen=True)
class Round:
    """What one pass over the outbox did."""

    sent: int = 0
    failed: int = 0


def deliver_due(
    installation: Installation, *, within: timedelta = ROUND_LIMIT, elapsed: Callable[[], float] = time.monotonic
) -> Round:
    """Send the messages that are due, each once. What goes wrong is in the message's row, not raised.

    After a channel has failed it is left alone for this round: a server that is away costs one time limit, not one for
    each message. After ``within`` no further message is begun: what is left is due in the next round.
    """
    end = elapsed() + within.total_seconds()
    engine = installation.catalog.engine
    _mark_accepted(installation)
    channels = open_channels(installation.settings.alerts)
    sent = failed = 0
    away: set[str] = set()
    for message in due(engine, installation.clock()):
        if elapsed() >= end:
            break
        if message.channel in away or not claim(engine, message, installation.clock()):
            continue
        if deliver(installation, message, channels.get(message.channel)):
            sent += 1
        else:
            failed += 1
            away.add(message.channel)
    return Round(sent, failed)


def deliver(installation: Installation, message: Message, channel: Channel | None) -> bool:
    """Make one attempt with a message that was claimed; note how it ended, and return whether it was accepted."""
    engine, alerts = installation.catalog.engine, installation.settings.alerts
    if channel is None:
        gone = "This channel is no longer in the settings."
        mark_failed(engine, message, gone, installation.clock(), give_up_after=alerts.give_up_after, final=True)
        return False
    try:
        channel.send(message)
    except NotDelivered as error:
        reason = masked(alerts, f"{'' if error.may_pass else REFUSED}{error}")
    except Exception as error:  # noqa: BLE001 - a plugin of a hundred authors; the message must wait, not be lost
        reason = f"An unforeseen error: {type(error).__name__}."
    else:
        _accepted.add(message.id)
        _mark_accepted(installation)
        return True
    logger.warning("a message for %s was not delivered: %s", message.channel, reason)
    mark_failed(engine, message, reason, installation.clock(), give_up_after=alerts.give_up_after)
    return False


def _mark_accepted(installation: Installation) -> None:
    for message_id in tuple(_accepted):
        mark_sent(installation.catalog.engine, message_id, installation.clock())
        _accepted.discard(message_id)
