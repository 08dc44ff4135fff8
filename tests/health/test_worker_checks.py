"""Several workers: each queue has one, and a folder is one machine's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.health.checks import examine
from services.health.model import WORKER, HealthCheck
from services.installation import Installation, open_configured
from services.settings.model import StorageSettings
from tests.pages.worlds import NOW, installation


def of(inst: Installation, name: str, subject: str) -> HealthCheck:
    (found,) = [c for c in examine(inst).checks if c.name == name and c.subject.name == subject]
    return found


def world(home: Path, *, shared: bool = False) -> Installation:
    """Two databases, one of a queue of its own; both in the folder ``local``."""
    made = installation(home, "orders", "billing")
    orders, billing = made.settings.databases
    (local,) = made.settings.storages
    settings = made.settings.model_copy(
        update={
            "databases": (orders, billing.model_copy(update={"queue": "eu"})),
            "storages": (
                local.model_copy(update={"shared": shared}),
                StorageSettings(name="s3", url="s3://bucket/prod"),
            ),
        }
    )
    made.close()
    return open_configured(settings, clock=lambda: NOW)


def beat(inst: Installation, host: str, *queues: str, ago: int = 3, version: str = "0.1.0") -> None:
    inst.catalog.workers.beat(f"{host}:1:1", version=version, now=NOW - timedelta(seconds=ago), queues=queues)


def test_a_queue_that_no_worker_serves_is_a_failure_that_says_what_waits(tmp_path: Path) -> None:
    inst = world(tmp_path)
    assert of(inst, "queues", WORKER.name).severity == "ok", "that no worker runs is another check's"
    beat(inst, "db1", "default")
    beat(inst, "db2", "eu", ago=60)  # silent
    found = of(inst, "queues", WORKER.name)
    assert (found.severity, found.sentence) == (
        "failure",
        "No worker serves the queue eu, that of billing. Nothing of it starts.",
    )
    assert found.hint == "Start `backups worker --queues eu` on the machine that is meant for it."
    beat(inst, "db2", "eu")
    assert of(inst, "queues", WORKER.name).severity == "ok"
    inst.close()


def test_a_folder_that_two_machines_would_each_have_for_themselves_is_a_failure(tmp_path: Path) -> None:
    inst = world(tmp_path)
    beat(inst, "db1", "default", "eu")
    assert of(inst, "folders", "local").severity == "ok"
    beat(inst, "db2", "eu")
    found = of(inst, "folders", "local")
    assert found.severity == "failure"
    assert found.sentence.startswith("It is a folder, and the workers of db1, db2 serve its databases")
    assert [c for c in examine(inst).checks if c.name == "folders" and c.subject.name == "s3"] == []
    inst.close()
    shared = world(tmp_path, shared=True)
    assert of(shared, "folders", "local").severity == "ok"
    shared.close()
