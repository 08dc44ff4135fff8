"""The queue beside the runs: each queued run has a place in it, and no place is held by a worker that is gone.

The run's row is what counts. A place (a workflow of DBOS) can go astray: its worker was killed, or told to end while
the run waited for its lane; the catalogue was away at the wrong moment. Then the lane would stand still, or the run
wait for ever. A place too many does no harm: whoever takes it finds that its run is not queued any more, and ends it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection

from services.catalog.model import Run
from services.installation import Installation
from services.jobs import queue
from services.jobs.identity import DeathWatch

logger = logging.getLogger(__name__)


class QueueWatch:
    """Puts the queue right, again and again, in each worker. Two that do so at once agree on what comes of it."""

    def __init__(
        self, installation: Installation, watch: DeathWatch, *, worker: str, in_hand: Callable[[], Collection[str]]
    ) -> None:
        """``worker`` is ourselves; ``in_hand`` returns the ids of the places that we work on."""
        self._installation = installation
        self._watch = watch
        self._worker = worker
        self._in_hand = in_hand
        self._doubtful: set[str] = set()
        """Places that are ours and were not in hand when we last looked."""

    def look(self) -> list[str]:
        """Free what is held by nobody and give a place to each run that has none; return the ids of those runs.

        Raise SQLAlchemyError when the catalogue does not answer.
        """
        return self._put_right(ending=False)

    def hand_back(self) -> list[str]:
        """The same, when we take nothing any more: what is still ours goes to the other workers, or to the next."""
        return self._put_right(ending=True)

    def _put_right(self, *, ending: bool) -> list[str]:
        catalog = self._installation.catalog
        # The runs first: a place is made in the transaction that queues its run, so it is there when the run is.
        runs = [run for run in catalog.runs.list(states=["queued"], limit=None) if run.params.get("queued")]
        places = queue.places(catalog)
        astray = self._astray(places, ending=ending) | self._left_behind(places, runs)
        for place in astray:
            queue.free(catalog, place)
            if not ending:
                logger.warning("nobody works on %s in queue %s (worker %s)", place.id, place.queue, place.worker)
        held = {place.attempt for place in places if place not in astray}
        # Oldest first, as they were queued.
        lost = [run for run in reversed(runs) if queue.attempt_of(run) not in held]
        back = [run for run in lost if self._enqueue_again(run)]
        for run in back:
            logger.info("run %s (%s %s) has a place in the queue again", run.id, run.kind, run.database)
        return [run.id for run in back]

    def _enqueue_again(self, run: Run) -> bool:
        catalog = self._installation.catalog
        # In one look, so that two who put it back at once count the same, or one sees the other's new place.
        had = queue.places_of(catalog, run)
        if any(place.state != "over" for place in had):
            return False
        return catalog.runs.enqueue_again(run, functools.partial(queue.enqueue, self._installation, again=len(had)))

    def _left_behind(self, places: list[queue.Place], runs: list[Run]) -> set[queue.Place]:
        """Return the places that wait in a queue which nobody serves, of runs that have another one by now.

        A database was given another queue in the settings. As long as a worker serves the old one, it is let be: that
        worker's settings may be the newer ones.
        """
        settings, workers = self._installation.settings, self._installation.catalog.workers
        home = {queue.attempt_of(run): queue.dbos_queue(settings.queue_of(run.database)) for run in runs}
        moved = {p for p in places if p.state == "waiting" and p.queue != home.get(p.attempt, p.queue)}
        if not moved:
            return set()
        served = {queue.dbos_queue(q) for worker in workers.alive(self._installation.clock()) for q in worker.serves}
        return {place for place in moved if place.queue not in served}

    def _astray(self, places: list[queue.Place], *, ending: bool) -> set[queue.Place]:
        """Return the places that were taken by a worker that is gone, or by us and then never begun."""
        known = {worker.id: worker for worker in self._installation.catalog.workers.list()}
        in_hand = set() if ending else set(self._in_hand())
        astray, doubtful = set(), set()
        for place in places:
            if place.state == "waiting":
                continue
            if place.worker != self._worker:
                # A worker has a row from before its first place until it has given all of them back.
                worker = known.get(place.worker or "")
                if worker is None or self._watch.is_gone(worker):
                    astray.add(place)
            elif ending or (place.id in self._doubtful and place.id not in in_hand):
                astray.add(place)
            elif place.id not in in_hand:
                doubtful.add(place.id)  # just taken, or just done; if it is still so next time, it went astray
        self._doubtful = doubtful
        return astray
