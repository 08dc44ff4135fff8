"""The list of checks: one table of rules, each a function from the facts to what it found. Derived when read.

A further check is one more function in RULES: it yields a check per subject, always, also when all is well, so that
what disappears is noticed. Whether it alerts is said in ``services.alerts.rules``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from services.errors import ConnectionFailed
from services.health import audit_checks as audit
from services.health import damage_checks as damage
from services.health import database_checks as database
from services.health import key_checks as key
from services.health import lock_checks as lock
from services.health import pitr_checks as pitr
from services.health import place_checks as place
from services.health import promise_checks as promise
from services.health import read_only_checks as read_only
from services.health import unnamed_checks as unnamed
from services.health import worker_checks as workers
from services.health.facts import Facts, gather
from services.health.model import EXAMINATION, INSTALLATION, HealthCheck, HealthReport, make_report
from services.installation import Installation

logger = logging.getLogger(__name__)

Rule = Callable[[Facts], Iterable[HealthCheck]]

RULES: tuple[Rule, ...] = (
    place.catalogue,
    place.notifications,
    place.worker,
    place.queue,
    workers.queues,
    workers.folders,
    database.paused,
    database.backup_age,
    database.backup_run,
    promise.slot,
    promise.budget,
    database.restore_test,
    database.restore_time,
    database.verification,
    damage.corruption,
    damage.copies,
    damage.storage_contents,
    database.backup_size,
    database.backup_duration,
    place.other_runs,
    place.storage_reach,
    place.storage_room,
    unnamed.unnamed_storage,
    place.probes,
    pitr.log,
    read_only.read_only,
    audit.log,
    audit.anchors,
    key.keys,
    lock.locks,
)


def apply_rules(facts: Facts) -> HealthReport:
    """Given the facts, return what every rule found. A rule that raises is a failed check, and the others go on."""
    checks: list[HealthCheck] = []
    broken: list[str] = []
    for rule in RULES:
        try:
            checks += rule(facts)
        except Exception as error:
            # One thing in the catalogue that cannot be looked at, by damage or design, must not silence all others.
            name = f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}"
            logger.exception("the rule %s of the list of checks failed", name)
            broken.append(f"{name} ({type(error).__name__})")
    if broken:
        words = f"{len(broken)} of {len(RULES)} rules of this list could not be applied: {', '.join(broken)}."
        hint = "The log says why. Open alerts whose checks are missing stay open until then."
        checks.append(HealthCheck(EXAMINATION, INSTALLATION, "failure", words, hint, count=len(broken)))
    return make_report(facts.now, checks)


def examine(installation: Installation, *, free: Mapping[str, int | None] | None = None) -> HealthReport:
    """Return the list of checks now. A catalogue that does not answer is its only check, and failed.

    Local disks are asked what they have left, unless ``free`` says it (bytes by storage).
    """
    try:
        return apply_rules(gather(installation, free=free))
    except (SQLAlchemyError, ConnectionFailed) as error:
        return make_report(installation.clock(), [unreachable(error)])


def unreachable(error: Exception) -> HealthCheck:
    """Return the check of a catalogue that does not answer. What the driver said may hold parts of its address."""
    why = error.message if isinstance(error, ConnectionFailed) else f"It does not answer ({type(error).__name__})."
    hint = "Check CATALOG_URL and that its folder or server is there."
    return HealthCheck("catalogue", INSTALLATION, "failure", why, hint)
