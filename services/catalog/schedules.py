"""Versions of schedules in the catalogue. They are only ever added."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.audit.pending import settle
from services.catalog.schema import schedules
from services.schedules.model import ScheduleVersion


class ScheduleStore:
    """The versions of all schedules. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> dict[str, list[ScheduleVersion]]:
        """Return every schedule's versions in the order in which they were written, by the schedule's name."""
        found: defaultdict[str, list[ScheduleVersion]] = defaultdict(list)
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(schedules).order_by(schedules.c.schedule, schedules.c.number)):
                values = dict(row._mapping)
                deadline = timedelta(seconds=values.pop("deadline_seconds"))
                found[row.schedule].append(ScheduleVersion(**values, deadline=deadline))
        return dict(found)

    def add(self, version: ScheduleVersion) -> bool:
        """Add a version; return False when another process has just added one of this number."""
        values = dict(vars(version))
        values["deadline_seconds"] = int(values.pop("deadline").total_seconds())
        try:
            with self._engine.begin() as connection:
                connection.execute(schedules.insert().values(values))
                settle(connection, version=version.number)
        except IntegrityError:
            return False
        return True
