"""What is checked of several workers: that each queue has one, and that a folder is not two machines' two folders."""

from __future__ import annotations

from collections.abc import Iterator

from services.health.facts import Facts
from services.health.model import WORKER, HealthCheck, Subject


def queues(facts: Facts) -> Iterator[HealthCheck]:
    """Does a worker serve each queue of the settings? That no worker runs at all is another check's."""
    settings = facts.installation.settings
    alive = [worker for worker in facts.workers if worker.is_alive(facts.now)]
    left = [name for name in settings.queues if not any(name in worker.serves for worker in alive)]
    if not alive or not left:
        many = len(settings.queues)
        sentence = "Each worker serves every database." if many == 1 else f"A worker serves each of the {many} queues."
        yield HealthCheck("queues", WORKER, "ok", sentence if alive else "No worker runs.")
        return
    waiting = [database.name for database in settings.databases if database.queue in left]
    whose = f", that of {', '.join(waiting)}" if waiting else ", that of cleanups and checks"
    yield HealthCheck(
        "queues",
        WORKER,
        "failure",
        f"No worker serves the queue {', '.join(left)}{whose}. Nothing of it starts.",
        f"Start `backups worker --queues {','.join(left)}` on the machine that is meant for it.",
    )


def folders(facts: Facts) -> Iterator[HealthCheck]:
    """Is a local folder one machine's? On several, each would store into, and look for backups in, one of its own."""
    settings = facts.installation.settings
    alive = [worker for worker in facts.workers if worker.is_alive(facts.now)]
    for storage in settings.storages:
        if not storage.is_local:
            continue
        subject = Subject("storage", storage.name)
        used_by = {database.queue for database in settings.databases if storage in settings.storages_of(database)}
        hosts = sorted({worker.host for worker in alive if used_by & set(worker.serves)})
        if storage.shared or len(hosts) < 2:
            sentence = (
                "It is the same folder on every machine, say the settings." if storage.shared else "One machine's."
            )
            yield HealthCheck("folders", subject, "ok", sentence)
            continue
        yield HealthCheck(
            "folders",
            subject,
            "failure",
            f"It is a folder, and the workers of {', '.join(hosts)} serve its databases: each has a folder of its own.",
            "Give its databases a `queue` that one machine serves; set `shared = true` if all mount the same one.",
        )
