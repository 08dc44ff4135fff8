"""The sample's simulated past: a year of runs, backups that have expired since, and their verifications.

Only what is gone is simulated: every backup here is ``expired`` and flagged ``sample``, so nothing that is listed as
restorable is invented. The same day and the same measured backup give the same rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Literal

from services.backups.naming import default_name, object_key
from services.catalog.deletions import Deletion
from services.catalog.model import Backup, BackupType, Copy, LogLine, Outcome, Run, RunKind, RunState, Verification
from services.clock import isoformat
from services.ids import new_id
from services.restores.report import RestoreReport
from services.sample.history_model import FAILURES, LOST, PEOPLE, SCHEDULE, History, Measured, Story
from services.units import format_bytes, format_duration

SEED = 20240731
SIMULATED = "Simulated history of the sample environment."
_SOON = timedelta(minutes=30)
_KEPT = {"scheduled": timedelta(days=3), "on-demand": timedelta(days=7), "emergency": timedelta(days=14)}
"""So many at a time as the sample's real ones are: then what is stored does not fall when the past ends."""


def simulate_past(measured: Measured, story: Story, now: datetime) -> History:
    """Given a real backup's figures and the story of its database, return the rows of its past, up to today's slot."""
    return _Past(measured, story, now).tell()


class _Past:
    """Tells one database's story, day by day."""

    def __init__(self, measured: Measured, story: Story, now: datetime) -> None:
        self._measured = measured
        self._story = story
        self._now = now
        # A text seed gives the same numbers in every process, which hash() would not.
        self._random = Random(f"{SEED} {measured.database}")  # nosec B311  # noqa: S311 -- not for secrets
        self._history = History()
        self._checks: defaultdict[str, list[Verification]] = defaultdict(list)

    def tell(self) -> History:
        first_test = self._story.last_restore_test
        irregular = {*self._story.failed_tests, *self._story.untestable}
        special = irregular | {day - 1 for day in irregular}  # tried again the day after
        for day in range(self._story.days, 0, -1):
            backup = self._scheduled(day)
            if day % self._story.on_demand_every == 4:
                release = f"{3 - day // 200}.{(self._story.days - day) // self._story.on_demand_every}"
                note = f"Before the deploy of release {release}"
                self._backup(day, 15.2, "on-demand", self._random.choice(PEOPLE), note)
            if day in self._story.emergencies:
                self._backup(day, 10.7, "emergency", self._random.choice(PEOPLE), self._story.emergencies[day])
            if backup is None:
                continue
            if day % 7 == 3:
                self._archive_check(backup, day)
            if day in special or (day >= self._story.last_restore_test and day % 30 == first_test % 30):
                self._restore_test(backup, day)
        if self._due(0) + _SOON < self._now:  # else the first worker takes it, or the sample's own backups satisfy it
            self._backup(0, self._story.scheduled_at_hour, "scheduled", SCHEDULE, "")
        self._history.backups = [self._with_verdict(backup) for backup in self._history.backups]
        self._history.deletions = [
            self._deletion(backup, copy) for backup in self._history.backups for copy in backup.copies
        ]
        return self._history

    def _at(self, day: int, hour: float) -> datetime:
        midnight = datetime.combine(self._now.astimezone(UTC).date() - timedelta(days=day), time(), UTC)
        return midnight + timedelta(hours=hour, seconds=self._random.uniform(0, 40), milliseconds=self._random.random())

    def _due(self, day: int) -> datetime:
        """When the backup of that day was due."""
        date_ = self._now.astimezone(UTC).date() - timedelta(days=day)
        return datetime.combine(date_, time(self._story.scheduled_at_hour), UTC)

    def _params(self, day: int, type_: BackupType) -> dict[str, object]:
        slot = isoformat(self._due(day)) if type_ == "scheduled" else None
        return {"database": self._measured.database, "type": type_, "slot": slot}

    def _size(self, day: int) -> float:
        """The database's size on that day as a part of today's: growing, a little faster lately, with noise."""
        age = (self._story.days - day) / self._story.days
        size = self._story.grew_from + (1 - self._story.grew_from) * math.pow(age, 1.25)
        return size * self._random.uniform(0.988, 1.0) * self._story.shrunk.get(day, 1.0)

    def _scheduled(self, day: int) -> Backup | None:
        hour = self._story.scheduled_at_hour
        failure = self._story.failures.get(day)
        if failure is None and self._random.random() < self._story.chance_of_failure:
            failure = (self._random.choice((0, 1, 4)), self._random.random() < 0.7)
        if failure is None:
            return self._backup(day, hour, "scheduled", SCHEDULE, "")
        index, again = failure
        self._failed_run(day, hour, index)
        return self._backup(day, 8.4, "on-demand", PEOPLE[0], "Again after the nightly failure") if again else None

    def _backup(self, day: int, hour: float, type_: BackupType, actor: str, note: str) -> Backup:
        m, started, size = self._measured, self._at(day, hour), self._size(day)
        slowness = math.exp(self._random.gauss(0, 0.13)) * (2.4 if self._random.random() < 0.02 else 1)
        finished = started + timedelta(seconds=0.4 + m.backup_seconds * size * slowness)
        stored = int(m.stored_bytes * size * self._random.uniform(0.992, 1.008))
        name = default_name(m.database, started)
        key = object_key(m.database, name, compression="zstd", encrypted=bool(m.recipients))
        expired = min(finished + _KEPT[type_], self._now - timedelta(minutes=5))
        copies = tuple(
            Copy(storage, key, f"(expired) {storage}/{key}", "STANDARD", "deleted", stored, "", expired)
            for storage in (m.storage, *m.further)
        )
        run = self._run("backup", started, finished, actor, note, params=self._params(day, type_))
        backup = Backup(
            id=self._id(started), run_id=run.id, name=name, database=m.database, type=type_, state="expired",
            started_at=started, finished_at=finished, snapshot_at=started + timedelta(milliseconds=300),
            database_bytes=int(m.database_bytes * size), plain_bytes=int(m.plain_bytes * size), stored_bytes=stored,
            sha256=self._hex(), plain_sha256=self._hex(), format="custom", compression="zstd",
            compression_level=m.compression_level, encryption="age" if m.recipients else "none",
            recipients=m.recipients, server_version=m.server_version, client_version=m.client_version, excluded=(),
            pinned=False, note=note, actor=actor, trust="signed", copies=copies, expired_at=expired, sample=True,
        )  # fmt: skip
        result = {"backup_id": backup.id, "name": name, "stored_bytes": stored}
        sizes = f"{format_bytes(stored)} ({format_bytes(backup.plain_bytes)} before compression)"
        message = f"Stored {sizes} in {format_duration(backup.duration)}."
        self._add_run(replace(run, backup_id=backup.id, result=result), message)
        self._history.backups.append(backup)
        checked = finished + timedelta(seconds=0.1 + 0.05 * m.backup_seconds * size)
        self._verify(backup, "checksum", run.id, finished, checked, actor, "passed",
                     f"All {format_bytes(stored)} read; sha256 as recorded.")  # fmt: skip
        return backup

    def _failed_run(self, day: int, hour: float, index: int) -> None:
        started = self._at(day, hour)
        phase, error, hint = (text.replace("{database}", self._measured.database) for text in FAILURES[index])
        seconds = 10 if phase == "checking" else 40 + 180 * self._random.random()
        state: RunState = "lost" if index == LOST else "failed"
        run = self._run("backup", started, started + timedelta(seconds=seconds), SCHEDULE, "", state=state, phase=phase,
                        params=self._params(day, "scheduled"))  # fmt: skip
        self._add_run(replace(run, error=error, hint=hint), f"{state.capitalize()}: {error} {hint}")

    def _archive_check(self, backup: Backup, day: int) -> None:
        started = self._at(day, 6)
        finished = started + timedelta(seconds=0.5 + 0.4 * self._measured.backup_seconds)
        reason = f"Read to its end: {format_bytes(backup.plain_bytes)}, sha256 as recorded."
        run = self._check_run("verification", "archive", backup, started, finished, SCHEDULE, "passed", reason)
        self._verify(backup, "archive", run, started, finished, SCHEDULE, "passed", reason)

    def _restore_test(self, backup: Backup, day: int) -> None:
        started, actor = self._at(day, 9.3), self._random.choice(PEOPLE)
        size = backup.database_bytes / self._measured.database_bytes
        seconds = 0.8 + self._measured.restore_test_seconds * size * math.exp(self._random.gauss(0, 0.1))
        finished = started + timedelta(seconds=seconds)
        outcome: Outcome = "passed"
        reason = f"every count and hash equals the source at {backup.snapshot_at:%Y-%m-%d %H:%M:%S} UTC"
        if day in self._story.failed_tests:
            outcome, reason = "failed", self._story.failed_tests[day]
        elif day in self._story.untestable:
            outcome, reason = "not testable", self._story.untestable[day]
        report = RestoreReport(
            outcome=outcome, backup_id=backup.id, backup_name=backup.name, database=backup.database,
            snapshot_at=backup.snapshot_at, server="embedded", server_version=backup.server_version,
            target="", way="spooled", jobs=2, stored_bytes=backup.stored_bytes, plain_bytes=backup.plain_bytes,
            download_seconds=round(seconds * 0.15, 3), restore_seconds=round(seconds * 0.6, 3),
            compare_seconds=round(seconds * 0.2, 3), total_seconds=round(seconds, 3),
            failure="" if outcome == "passed" else reason, notes=(SIMULATED,),
        )  # fmt: skip
        run = self._check_run("restore_test", "restore", backup, started, finished, actor, outcome, reason)
        self._verify(backup, "restore", run, started, finished, actor, outcome, reason, report)

    def _deletion(self, backup: Backup, copy: Copy) -> Deletion:
        """The entry of a copy's end in the log of deletions. No tier gave it up: it was never stored."""
        at = backup.expired_at or self._now
        return Deletion(
            id=self._id(at), run_id=None, backup_id=backup.id, backup_name=backup.name, database=backup.database,
            at=at, ended_at=at, actor=SCHEDULE, storage=copy.storage, key=copy.key, bytes=copy.bytes,
            reason="simulated, never stored", note=SIMULATED, outcome="deleted", error="",
        )  # fmt: skip

    def _verify(
        self, backup: Backup, level: str, run_id: str, started: datetime, finished: datetime, actor: str,
        outcome: Outcome, reason: str, report: RestoreReport | None = None,
    ) -> None:  # fmt: skip
        detail = report.to_json() if report else {"notes": [SIMULATED]}
        verification = Verification(
            id=self._id(finished), run_id=run_id, backup_id=backup.id, database=backup.database, level=level,
            storage=self._measured.storage, outcome=outcome, reason=reason, started_at=started, finished_at=finished,
            actor=actor, detail=detail,
        )  # fmt: skip
        self._history.verifications.append(verification)
        self._checks[backup.id].append(verification)

    def _with_verdict(self, backup: Backup) -> Backup:
        """Return the backup as its verifications left it: the last one that passed or failed speaks."""
        checks = [v for v in self._checks[backup.id] if v.outcome != "not testable"]
        last = max(checks, key=lambda check: check.finished_at)
        proofs = [v.finished_at for v in checks if v.level == "restore"] if last.outcome == "passed" else []
        return replace(
            backup,
            verification_level=last.level,
            verification_at=last.finished_at,
            verification_passed=last.outcome == "passed",
            proven_at=max(proofs, default=None),
        )

    def _check_run(
        self, kind: RunKind, level: str, backup: Backup, started: datetime, finished: datetime, actor: str,
        outcome: Outcome, reason: str,
    ) -> str:  # fmt: skip
        run = self._run(kind, started, finished, actor, "", params={"level": level, "storage": self._measured.storage})
        result = {"outcome": outcome, "reason": reason}
        self._add_run(replace(run, backup_id=backup.id, result=result), f"{outcome.capitalize()}: {reason}")
        return run.id

    def _run(
        self, kind: RunKind, started: datetime, finished: datetime, actor: str, reason: str, *,
        state: RunState = "finished", phase: str = "verifying", params: dict[str, object],
    ) -> Run:  # fmt: skip
        return Run(
            id=self._id(started), kind=kind, database=self._measured.database, backup_id=None, state=state, actor=actor,
            reason=reason, params={**params, "sample": True}, queued_at=started - timedelta(milliseconds=400),
            started_at=started, finished_at=finished, heartbeat_at=finished, attempt=1, worker="db-worker-1:411:0",
            phase=phase, phase_started_at=started,
        )  # fmt: skip

    def _add_run(self, run: Run, message: str) -> None:
        started, finished = run.started_at or run.queued_at, run.finished_at or run.queued_at
        self._history.runs.append(run)
        self._history.lines.append((run.id, LogLine(started, "info", SIMULATED)))
        level: Literal["info", "error"] = "error" if run.state in ("failed", "lost") else "info"
        self._history.lines.append((run.id, LogLine(finished, level, message)))

    def _id(self, at: datetime) -> str:
        """An id of that instant whose random half comes from our own numbers."""
        return new_id(at)[:10] + f"{self._random.getrandbits(40):010x}"

    def _hex(self) -> str:
        return f"{self._random.getrandbits(256):064x}"
