"""One run as it goes: its steps, progress with rate and expected time, live log, cancel; and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.format import day, duration, escape, percent, rate, size
from dashboard.theme import RUN_MARKS, run_outcome
from services.catalog.model import RUN_WORDS, LogLine, Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.words import Writes, writes_of
from services.printable import visible_lines
from services.status import age

LOG_LINES = 25

POINT_STEPS = (
    ("choosing the base backup", "base backup"),
    ("fetching the base backup", "fetching"),
    ("checking the files", "checking files"),
    ("replaying the log", "replaying the log"),
    ("looking around", "looking around"),
)
STEPS: dict[str, tuple[tuple[str, str], ...]] = {
    "backup": (
        ("checking", "pre-checks"),
        ("dumping", "dumping"),
        ("taking the fingerprint", "fingerprint"),
        ("storing", "storing"),
        ("writing the manifest", "manifest"),
        ("verifying", "verifying"),
    ),
    "emergency": (
        ("checking first", "pre-checks"),
        ("switching to read-only mode", "read-only on"),
        ("ending sessions that can write", "sessions"),
        ("dumping", "dumping"),
        ("taking the fingerprint", "fingerprint"),
        ("storing", "storing"),
        ("writing the manifest", "manifest"),
        ("verifying", "verifying"),
    ),
    "base_backup": (
        ("checking", "pre-checks"),
        ("copying the data folder", "copying"),
        ("storing", "storing"),
        ("writing the manifest", "manifest"),
        ("waiting for its log", "its log"),
        ("verifying", "verifying"),
    ),
    "point_test": POINT_STEPS,
    "point_restore": POINT_STEPS,
    "cleanup": (("planning", "planning"), ("deleting", "deleting")),
}
"""Phases in their order, and the word for each. A phase that is not listed is shown by its own name."""
READ_ONLY_STEPS = ("switching to read-only mode", "ending sessions that can write")
PARALLEL_STEP = ("compressing", "compressing")
"""What a parallel backup does before it stores; one stream does both while it dumps."""


def steps_of(run: Run) -> tuple[tuple[str, str], ...] | None:
    """Return the steps of a run's kind; None where there is nothing to show."""
    steps = STEPS.get("emergency" if wants_read_only(run) else run.kind)
    if steps is None or run.kind != "backup":
        return steps
    if (run.params.get("jobs") or 1) > 1 or run.phase == PARALLEL_STEP[0]:
        place = [phase for phase, _ in steps].index("storing")
        return (*steps[:place], PARALLEL_STEP, *steps[place:])
    return steps


def fraction(run: Run) -> float | None:
    """Return how much of the phase is done, 0 to 1 (an expectation may be exceeded), or None where nobody knows."""
    if not run.bytes_total:
        return None
    return min(1.0, run.bytes_done / run.bytes_total)


def remaining_seconds(run: Run, now: datetime) -> float | None:
    """Return the expected seconds to the run's end.

    From history where there is any; otherwise from the rate of the phase that runs, which is then only that phase's.
    """
    if run.started_at is None:
        return None
    if run.expected_seconds is not None:
        return max(0.0, run.expected_seconds - (now - run.started_at).total_seconds())
    if not run.bytes_total or not run.bytes_done or run.phase_started_at is None:
        return None
    spent = (now - run.phase_started_at).total_seconds()
    return max(0.0, spent * (run.bytes_total - run.bytes_done) / run.bytes_done)


def step_words(run: Run, now: datetime) -> str:
    """Say in one line what the run does now: phase, share, bytes, rate, time left. Markdown, escaped."""
    if run.state == "queued":
        return f"waiting for the worker for {age(now - run.queued_at)}"
    parts = [escape(run.phase or "starting")]
    if run.bytes_total:
        parts.append(f"{percent(min(run.bytes_done, run.bytes_total), run.bytes_total)}")
    if run.bytes_done:
        of = f" of about {size(run.bytes_total)}" if run.bytes_total else ""
        parts.append(f"{size(run.bytes_done)}{of}")
        if run.phase_started_at is not None:
            parts.append(rate(run.bytes_done, (now - run.phase_started_at).total_seconds()))
    rest = remaining_seconds(run, now)
    if rest:
        parts.append(f"about {duration(rest)} left")
    return " · ".join(parts)


def progress(run: Run, log: Sequence[LogLine], now: datetime, modes: Sequence[ReadOnlyMode] = ()) -> None:
    """Draw a run that waits or runs. ``modes``: the read-only modes that it began."""
    st.markdown(f"## {RUN_MARKS[run.state].inline()} {_title(run)}", anchors=False)
    _note(run)
    writes = writes_of(run, modes) if wants_read_only(run) else Writes()
    if strip := step_strip(run, writes):
        st.markdown(strip)  # a phone breaks the line between steps, not within one
    _about_writes(writes)
    done = fraction(run)
    st.progress(done if done is not None else 0.0, text=step_words(run, now))
    if run.started_at is not None:
        st.caption(
            f"Started {day(run.started_at)} by {escape(run.actor)} · running for {duration(now - run.started_at)}"
            + (f" · worker {escape(run.worker)}" if run.worker else "")
        )
    log_lines(log, empty="No log lines yet.")


def ended(run: Run, log: Sequence[LogLine], modes: Sequence[ReadOnlyMode] = ()) -> None:
    """Draw how a run ended: what it made, or why it failed, what to do, and what happens next by itself.

    ``modes``: the read-only modes that it began.
    """
    outcome, mark = run_outcome(run)
    st.markdown(f"## {mark.inline()} {_title(run)}: :{mark.tone}[{escape(outcome)}]", anchors=False)
    asked = f"asked for by {escape(run.actor)}"
    took = f" · took {duration(run.duration)}" if run.duration is not None else ""
    st.caption(f"Ended {day(run.finished_at)}{took} · {asked}")
    if not made_backup(run):  # otherwise the backup's own card says it
        _note(run)
    if wants_read_only(run):
        _about_writes(writes_of(run, modes))
    if run.state in ("failed", "lost"):
        st.error(escape(run.error or "No reason was recorded."), icon=":material/cancel:", title="What went wrong")
        if run.hint:
            st.info(escape(run.hint), icon=":material/lightbulb:", title="What to do")
        st.markdown(f"**What happens next:** {next_action(run)}")
        st.markdown(f"**The last {min(LOG_LINES, len(log))} log lines**")
        log_lines(log[-LOG_LINES:], empty="The run wrote no log.")
    elif run.state == "cancelled":
        who = escape(run.cancel_requested_by or "somebody")
        kept = "Its backup had been stored by then and is kept." if made_backup(run) else "Nothing of it was kept."
        if run.kind == "cleanup":
            kept = "What was deleted by then is gone."
        st.markdown(f"Cancelled on request of {who}. {kept} **What happens next:** {next_action(run)}")
    if run.state in ("finished", "cancelled") and log:
        with st.expander("Log of this run"):
            log_lines(log, empty="")


def made_backup(run: Run) -> bool:
    """Say whether the run recorded a backup, however it ended; a check's ``backup_id`` is one that was there before."""
    return run.kind in ("backup", "adopt", "base_backup") and run.backup_id is not None


def next_action(run: Run) -> str:
    """Say what the product does by itself after a run that did not finish."""
    nothing = "nothing is tried again by itself."
    if made_backup(run):
        return f"{nothing} The backup of this run stays stored, as it is shown; earlier backups are untouched."
    if run.kind in ("backup", "base_backup") and run.state == "lost":
        return f"{nothing} Earlier backups are untouched."
    if run.kind in ("backup", "base_backup"):
        return f"{nothing} What was half-stored has been removed; earlier backups are untouched."
    if run.kind == "copy":
        return "the worker tries it again, after a longer pause each time. The backup's other copies are untouched."
    if run.kind in ("archive", "compress", "rotate"):
        return f"{nothing} What was moved or compressed by then stays so; every other backup is as it was."
    if run.kind == "point_test":
        return f"{nothing} What it had laid out is gone; base backups and log stay stored."
    if run.kind == "point_restore":
        return f"{nothing} The folder is empty again; base backups and log stay stored."
    if run.kind in ("restore_test", "verification"):
        return f"{nothing} The backup stays stored; its last verdict stays as shown."
    if run.kind == "cleanup":
        return "the next cleanup ends what was begun. What was not begun is untouched."
    return nothing


def log_lines(lines: Sequence[LogLine], *, empty: str) -> None:
    """Draw log lines as plain text, which no line can turn into markup."""
    if not lines:
        if empty:
            st.caption(empty)
        return
    marks = {"info": " ", "warning": "!", "error": "✕"}
    text = "\n".join(f"{line.at:%H:%M:%S} {marks[line.level]} {line.message}" for line in lines)
    st.code(visible_lines(text), language=None, wrap_lines=True, height=min(300, 40 + 22 * len(lines)))


def _title(run: Run) -> str:
    of = f" of {escape(run.database)}" if run.database else ""
    return f"{'Emergency backup' if is_emergency(run) else RUN_WORDS[run.kind]}{of}"


def is_emergency(run: Run) -> bool:
    """Say whether a run makes an emergency backup."""
    return run.kind == "backup" and run.params.get("type") == "emergency"


def wants_read_only(run: Run) -> bool:
    """Say whether a run was asked to stop writes while it makes its backup."""
    return is_emergency(run) and bool(run.params["emergency"]["read_only"])


def _about_writes(writes: Writes) -> None:
    if writes.is_warning:
        st.warning(escape(writes.said), icon=":material/edit_off:")
    elif writes.said:
        st.markdown(f":material/lock_open: {escape(writes.said)}")


def _note(run: Run) -> None:
    note = str(run.params.get("note") or "")
    for label, said in (("Note", note if note != run.reason else ""), ("Reason", run.reason)):
        if said.strip():
            st.markdown(f"**{label}:** {escape(said)}")


def step_strip(run: Run, writes: Writes) -> str:
    """Return the steps of a run in one line of Markdown: done, now, to come; empty where its kind has none.

    A read-only mode that is not held any more (or never was) is no green step: the strip says what is true now.
    """
    steps = steps_of(run)
    if steps is None:
        return ""
    names = [phase for phase, _ in steps]
    at = names.index(run.phase) if run.phase in names else -1
    if run.phase == "checking" and at < 0:  # in read-only mode, the backup's own look before it dumps
        at = names.index("dumping")
    drawn = []
    for n, (phase, words) in enumerate(steps):
        word = words.replace(" ", "\u00a0")
        if not writes.is_held and phase in READ_ONLY_STEPS:
            if phase == READ_ONLY_STEPS[0]:
                drawn.append(":gray[:material/lock_open:\u00a0not\u00a0read-only]")
        elif n < at:
            drawn.append(f":green[:material/check_circle:\u00a0{word}]")
        elif n == at:
            drawn.append(f":blue[:material/radio_button_checked:\u00a0**{word}**]")
        else:
            drawn.append(f":gray[:material/radio_button_unchecked:\u00a0{word}]")
    return " &ensp;".join(drawn)
