"""Two persons: one asks, another approves; nothing gets past it, neither by the command line nor by a row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services import commands
from services.approvals.exactly import exactly
from services.audit.query import AuditQuery, find_rows
from services.catalog.approvals import Approval
from services.catalog.deletions import Cause
from services.catalog.model import Backup
from services.catalog.schema import approvals
from services.errors import ApprovalNeeded, InputError, NotPermitted
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.schedules.conftest import SetClock
from tests.support.stored import AT, carry_out, folder_storage, installation_on, keys_in, store_backup

DAY = timedelta(days=1)
ASKER, SECOND = "cli:ada@host", "cli:mara@host"


@pytest.fixture
def clock() -> SetClock:
    return SetClock(AT + 60 * DAY)


@pytest.fixture
def inst(tmp_path: Path, clock: SetClock) -> Iterator[Installation]:
    """Four good backups, of which the policy keeps the newest alone."""
    thin = {"daily": 1, "weekly": 0, "monthly": 0, "yearly": 0, "minimum": 1}
    made = installation_on(tmp_path, folder_storage(tmp_path, "primary"), clock=clock, retention=thin)
    made.settings = made.settings.model_copy(update={"two_person": ("delete", "restore")})
    for number in range(4):
        store_backup(made, f"b{number}", at=AT + number * DAY, type="scheduled")
    yield made
    made.close()


def named(inst: Installation, name: str) -> Backup:
    return inst.catalog.backups.find(name)


def asked(inst: Installation, *names: str, **more: Any) -> Approval:
    """Ask for backups to be deleted, and return what waits then."""
    with pytest.raises(ApprovalNeeded, match="second person"):
        commands.submit_deletion(inst, [named(inst, name).id for name in names], actor=ASKER, queue=False, **more)
    return inst.catalog.approvals.waiting(inst.clock())[-1]


def test_one_asks_another_approves_and_it_is_recorded_who(inst: Installation) -> None:
    wish = asked(inst, "b0", "b1", reason="too old")
    assert wish.summary == "Delete 2 backups: b0, b1"
    assert inst.catalog.runs.list() == []
    run = carry_out(inst, commands.approve_request(inst, wish.id, actor=SECOND, note="I looked", queue=False))
    assert run.state == "finished", run.error
    assert (run.actor, run.reason) == (ASKER, "too old")
    assert [item["outcome"] for item in run.result["items"]] == ["deleted", "deleted"]
    assert inst.catalog.runs.log(run.id)[0].message == f"Asked for by {ASKER}, approved by {SECOND}: I looked"
    decided = inst.catalog.approvals.get(wish.id)
    assert (decided.state, decided.decided_by, decided.run_id) == ("approved", SECOND, run.id)
    with pytest.raises(InputError, match="is approved by"):
        commands.approve_request(inst, wish.id, actor=SECOND, queue=False)


def test_whoever_asked_cannot_approve_nor_can_a_page_where_nobody_signed_in(inst: Installation) -> None:
    wish = asked(inst, "b0")
    elsewhere = "cli:ada@another-host"
    for actor, why in (
        (ASKER, "somebody else"), (elsewhere, "somebody else"), ("dashboard", "Nobody has signed in"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=why):
            commands.approve_request(inst, wish.id, actor=actor, queue=False)
    assert asked(inst, "b0").id == wish.id, "asked again, it is the same wish"
    assert commands.reject_request(inst, wish.id, actor=ASKER).state == "rejected"
    assert asked(inst, "b0").id != wish.id


def test_where_people_sign_in_both_must_have(inst: Installation) -> None:
    ada, mara, joe = (f"person:{name}@example.com" for name in ("ada", "mara", "joe"))
    access = AccessSettings(mode="oidc", admins=(ada, mara, joe, ASKER, SECOND))
    inst.settings = inst.settings.model_copy(update={"access": access})

    def wanted(actor: str) -> Approval:
        with pytest.raises(ApprovalNeeded, match="second person") as needed:
            commands.submit_deletion(inst, [named(inst, "b0").id], actor=actor, reason="old", queue=False)
        assert "on the dashboard's page" in needed.value.hint
        assert ("takes it over first" in needed.value.hint) is actor.startswith("cli:")
        return inst.catalog.approvals.waiting(inst.clock())[-1]

    def refused(wish: Approval, actor: str, why: str) -> None:
        with pytest.raises(InputError, match=why):
            commands.approve_request(inst, wish.id, actor=actor, queue=False)

    own = wanted(ada)
    for actor, why in (
        (ada, "somebody else"),
        ("cli:ada@host", "must have signed in"),
        (SECOND, "must have signed in"),
    ):
        refused(own, actor, why)
    run_id = commands.approve_request(inst, own.id, actor=mara, queue=False)
    with inst.catalog.engine.begin() as connection:  # a row that came past the question
        connection.execute(approvals.update().where(approvals.c.id == own.id).values(decided_by=SECOND))
    run = carry_out(inst, run_id)
    assert (run.state, "second person's approval" in run.error) == ("failed", True)

    typed = wanted(ASKER)  # who that was nobody can tell: ada, perhaps
    refused(typed, SECOND, "must have signed in")
    with pytest.raises(ApprovalNeeded, match="it is yours now"):
        commands.approve_request(inst, typed.id, actor=ada, queue=False)
    taken = inst.catalog.approvals.get(typed.id)
    row = next(find_rows(inst, AuditQuery()))
    assert (row.actor, row.action, row.outcome) == (ada, "approval.decide", "done")
    assert ASKER in str(row.detail)
    assert (taken.state, taken.asked_by) == ("waiting", ada)
    assert taken.reason == f"old (asked for on the command line by {ASKER})"
    refused(typed, ada, "somebody else")
    with inst.catalog.engine.begin() as connection:
        assert not inst.catalog.approvals.take_over(typed, by=joe, reason="", connection=connection), "once"
    run = carry_out(inst, commands.approve_request(inst, typed.id, actor=joe, queue=False))
    assert (run.state, run.actor) == ("finished", ada), run.error


def test_after_a_day_it_has_expired(inst: Installation, clock: SetClock) -> None:
    wish = asked(inst, "b0")
    clock.now += timedelta(hours=24)
    assert inst.catalog.approvals.waiting(clock()) == []
    with pytest.raises(InputError, match="is expired"):
        commands.approve_request(inst, wish.id, actor=SECOND, queue=False)


def test_what_has_changed_since_is_another_wish(inst: Installation) -> None:
    wish = asked(inst, "b0")
    commands.set_pin(inst, named(inst, "b0").id, pinned=True, actor=SECOND)
    with pytest.raises(InputError, match="changed since"):
        commands.approve_request(inst, wish.id, actor=SECOND, queue=False)
    assert inst.catalog.approvals.get(wish.id).state == "changed"
    later = asked(inst, "b1")
    run_id = commands.approve_request(inst, later.id, actor=SECOND, queue=False)
    commands.set_pin(inst, named(inst, "b1").id, pinned=True, actor=SECOND)
    run = carry_out(inst, run_id)
    assert (run.state, "changed since" in run.error) == ("failed", True)


def test_one_key_with_another_selection_or_of_another_person_is_a_wish_of_its_own(inst: Installation) -> None:
    first = asked(inst, "b0", idempotency_key="page:1")
    second = asked(inst, "b1", idempotency_key="page:1")
    assert [wish.summary for wish in (first, second)] == ["Delete 1 backup: b0", "Delete 1 backup: b1"]
    assert asked(inst, "b0", idempotency_key="page:1").id in {first.id, second.id}
    with pytest.raises(ApprovalNeeded):
        commands.submit_deletion(inst, [named(inst, "b0").id], actor=SECOND, queue=False, idempotency_key="page:1")
    waiting = inst.catalog.approvals.waiting(inst.clock())
    assert sorted((wish.asked_by, wish.summary[-2:]) for wish in waiting) == [
        (ASKER, "b0"), (ASKER, "b1"), (SECOND, "b0"),
    ]  # fmt: skip


def test_all_of_what_is_asked_for_can_be_seen(inst: Installation) -> None:
    for number in range(4, 9):
        store_backup(inst, f"b{number}", at=AT + number * DAY, type="scheduled")
    names = [f"b{number}" for number in range(7)]
    about = exactly(inst, asked(inst, *names, force_reason="room"))
    assert [one.name for one in about.backups] == names, "seven, where the sentence names five"
    assert (about.total, about.options) == ("7 backups, 700 kB", {"force_reason": "room"})


def interrupted(inst: Installation, run_id: str) -> None:
    """Have a worker take a run and go away, so that the next one is its second attempt."""
    runs = inst.catalog.runs
    runs.claim(run_id, worker="gone:1", now=inst.clock())
    assert runs.take_back(runs.get(run_id), state="queued", now=inst.clock())


def test_a_second_attempt_of_what_had_not_begun_is_looked_at_again(inst: Installation) -> None:
    wish = asked(inst, "b0")
    run_id = commands.approve_request(inst, wish.id, actor=SECOND, queue=False)
    interrupted(inst, run_id)
    commands.set_pin(inst, named(inst, "b0").id, pinned=True, actor=SECOND)
    run = carry_out(inst, run_id)
    assert (run.attempt, run.state, "changed since" in run.error) == (2, "failed", True)


def test_a_second_attempt_goes_on_with_what_had_begun(inst: Installation) -> None:
    wish = asked(inst, "b0", "b1")
    run_id = commands.approve_request(inst, wish.id, actor=SECOND, queue=False)
    interrupted(inst, run_id)
    cause = Cause(run_id, ASKER, "by hand", minimum=1)
    with inst.catalog.engine.begin() as connection:
        inst.catalog.deletions.begin(named(inst, "b0").id, cause, now=inst.clock(), connection=connection)
    run = carry_out(inst, run_id)
    assert (run.attempt, run.state) == (2, "finished"), run.error
    assert [item["outcome"] for item in run.result["items"]] == ["deleted", "deleted"]


def test_whoever_asked_must_still_be_allowed_to_when_it_is_approved(inst: Installation) -> None:
    inst.settings = inst.settings.model_copy(update={"access": AccessSettings(mode="proxy")})
    for one in ("proxy:ada", "proxy:mara"):
        add(inst, one, "admin")
    with pytest.raises(ApprovalNeeded):
        commands.submit_deletion(inst, [named(inst, "b0").id], actor="proxy:ada", queue=False)
    (wish,) = inst.catalog.approvals.waiting(inst.clock())
    commands.disable_person(inst, "proxy:ada", actor="proxy:mara")
    with pytest.raises(InputError, match="may not do that any more"):
        commands.approve_request(inst, wish.id, actor="proxy:mara", queue=False)
    assert inst.catalog.runs.list() == []
    commands.enable_person(inst, "proxy:ada", actor="proxy:mara")
    run_id = commands.approve_request(inst, wish.id, actor="proxy:mara", queue=False)
    commands.disable_person(inst, "proxy:ada", actor="proxy:mara")
    run = carry_out(inst, run_id)
    assert (run.state, "proxy:ada may not do that any more" in run.error) == ("failed", True)


def test_a_cleanup_is_approved_as_it_was_seen_and_the_schedule_s_needs_nobody(inst: Installation) -> None:
    with pytest.raises(ApprovalNeeded):
        commands.submit_cleanup(inst, apply=True, actor=ASKER, queue=False)
    (wish,) = inst.catalog.approvals.waiting(inst.clock())
    assert wish.summary == "Delete 3 backups: b0, b1, b2"
    looked = carry_out(inst, commands.submit_cleanup(inst, actor=ASKER, queue=False))
    assert looked.state == "finished", "looking needs nobody"
    scheduled = carry_out(inst, commands.submit_cleanup(inst, apply=True, actor="schedule", slot="s", queue=False))
    assert scheduled.state == "finished", scheduled.error
    assert len(scheduled.result["items"]) == 3
    with pytest.raises(InputError, match="changed since"):
        commands.approve_request(inst, wish.id, actor=SECOND, queue=False)


def test_a_restore_waits_as_well(inst: Installation) -> None:
    with pytest.raises(ApprovalNeeded, match="Restore b3 into orders_new"):
        commands.submit_restore(inst, named(inst, "b3").id, "orders_new", actor=ASKER, queue=False)
    inst.settings = inst.settings.model_copy(update={"two_person": ("delete",)})
    assert commands.submit_restore(inst, named(inst, "b3").id, "orders_new", actor=ASKER, queue=False)


def test_a_row_that_came_past_the_question_is_not_carried_out(inst: Installation) -> None:
    backup = named(inst, "b0")
    params = {"database": None, "apply": True, "only": [backup.id], "by_hand": True, "force_reason": ""}
    for actor, more in ((ASKER, {}), (ASKER, {"slot": "s"}), ("schedule", {}), ("schedule", {"slot": "s"})):
        run = inst.catalog.runs.add(
            kind="cleanup", database=None, actor=actor, reason="", params=params | more, now=inst.clock()
        )
        done = carry_out(inst, run.id)
        assert (done.state, "second person's approval" in done.error) == ("failed", True), (actor, more)
    wish = asked(inst, "b0")
    approved = commands.approve_request(inst, wish.id, actor=SECOND, queue=False)
    other = inst.catalog.runs.add(
        kind="cleanup", database=None, actor=ASKER, reason="", params=params | {"approval": wish.id}, now=inst.clock()
    )
    assert carry_out(inst, other.id).state == "failed", "an approval is of one run"
    assert carry_out(inst, approved).state == "finished"
    assert "la_factoria/b0.manifest.json" not in keys_in(inst, "primary")


def test_whoever_approves_must_be_permitted_to_do_it(inst: Installation) -> None:
    wish = asked(inst, "b0")
    inst.settings = inst.settings.model_copy(update={"access": AccessSettings(mode="proxy")})
    add(inst, SECOND, "operator")
    with pytest.raises(NotPermitted):
        commands.approve_request(inst, wish.id, actor=SECOND, queue=False)


def test_without_the_setting_nothing_waits(inst: Installation) -> None:
    inst.settings = inst.settings.model_copy(update={"two_person": ()})
    run_id = commands.submit_deletion(inst, [named(inst, "b0").id], actor=ASKER, queue=False)
    assert carry_out(inst, run_id).state == "finished"
