"""Who somebody is by a provider's claims or a proxy's header, and what they may from one click to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services import commands
from services.access.roles import Role
from services.access.sign_in import sign_in, sign_in_by_proxy
from services.access.standing import standing_of
from services.audit.sessions import MOST_REFUSALS, is_due, note_refused_visit
from services.catalog.people import Person
from services.catalog.schema import audit_log
from services.errors import AlreadyExists, InputError, NotPermitted, UnknownName
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.schedules.conftest import SetClock
from tests.support.installations import make_installation

ISSUER = "https://id.example.com"
MARA, JONAS = "person:mara@example.com", "person:jonas@example.com"
OIDC: dict[str, Any] = {
    "mode": "oidc",
    "issuer": ISSUER,
    "client_id": "backups",
    "client_secret": SecretStr("s"),
    "cookie_secret": SecretStr("c" * 32),
    "url": "https://backups.example.com",
    "admins": ("root@example.com",),
}


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def inst(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Iterator[Installation]:
    values = {"access": AccessSettings(**OIDC, roles={"backup-admins": Role.ADMIN, "dba": Role.OPERATOR})}
    if request.param == "postgresql":
        database = request.getfixturevalue("database")
        values["catalog_url"] = database(request.getfixturevalue("server18")).url()
    made = make_installation(tmp_path, clock=clock, **values)
    yield made
    made.close()


def claims(inst: Installation, who: str = "mara@example.com", **more: Any) -> dict[str, Any]:
    began = int(inst.clock().timestamp())
    return {
        "iss": ISSUER, "aud": "backups", "sub": f"sub-{who}", "email": who, "email_verified": True, "iat": began,
        "exp": began + 3600, "name": "Mara", "is_logged_in": True,
    } | more  # fmt: skip


def test_a_token_of_others_or_without_its_facts_signs_nobody_in(inst: Installation) -> None:
    add(inst, MARA, "admin")
    assert sign_in(inst, claims(inst)).role is Role.ADMIN
    now = inst.clock().timestamp()
    for more, why in (
        ({"iss": "https://evil.example.com"}, "another provider"),
        ({"iss": None}, "another provider"),
        ({"aud": "another"}, "another audience"),
        ({"aud": ["another"], "azp": "backups"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"sub": ""}, "whose account"),
        ({"sub": 7}, "whose account"),
        ({"iat": None}, "when this sign-in began"),
        ({"iat": True}, "when this sign-in began"),
        ({"iat": 1e300}, "when this sign-in began"),
        ({"iat": now + 3600}, "when this sign-in began"),
        ({"iat": now - 12 * 3600}, "has expired"),
        ({"sub": "new", "email_verified": False}, "verified email"),
        ({"sub": "new", "email_verified": "true"}, "verified email"),
        ({"sub": "new", "email": None}, "verified email"),
        ({"sub": "new", "email": "mаra@example.com"}, "no identity may"),
        ({"sub": "new"}, "belongs to another account"),
    ):
        found = sign_in(inst, claims(inst, **more))
        assert found.role is None, more
        assert why in found.why, (more, found.why)


def test_one_sign_in_lasts_as_long_as_the_settings_say(inst: Installation, clock: SetClock) -> None:
    add(inst, MARA, "viewer")
    token = claims(inst)
    clock.now += timedelta(hours=11, minutes=59)
    assert sign_in(inst, token).role is Role.VIEWER, "the ID token's own hour is how long it may be handed over"
    clock.now += timedelta(minutes=1)
    assert sign_in(inst, token).role is None


def test_who_is_unknown_has_no_right_and_leaves_no_row(inst: Installation) -> None:
    found = sign_in(inst, claims(inst))
    assert (found.actor, found.role, found.person) == (MARA, None, None)
    assert found.why == "person:mara@example.com is not among the people of this installation."
    assert inst.catalog.people.all() == []


def test_a_role_comes_from_the_settings_the_groups_or_by_hand_and_hand_stands_over_groups(inst: Installation) -> None:
    assert sign_in(inst, claims(inst, "root@example.com")).role is Role.ADMIN
    assert sign_in(inst, claims(inst, groups=["dba", "other"])).role is Role.OPERATOR
    assert sign_in(inst, claims(inst, groups="backup-admins")).role is Role.ADMIN, "of one group some send a text"
    assert sign_in(inst, claims(inst, groups=["other"])).role is None
    commands.set_role(inst, "mara@example.com", Role.VIEWER, actor="person:root@example.com")
    assert sign_in(inst, claims(inst, groups=["backup-admins"])).role is Role.VIEWER
    rows = {person.identity: (person.role, person.source) for person in inst.catalog.people.all()}
    assert rows == {MARA: (Role.VIEWER, "person"), "person:root@example.com": (Role.ADMIN, "settings")}


def test_the_account_that_signs_in_first_stays_the_person_s(inst: Installation) -> None:
    add(inst, MARA, "operator")
    assert sign_in(inst, claims(inst)).role is Role.OPERATOR
    later = claims(inst, email="mara.new@example.com")
    assert sign_in(inst, later).actor == MARA, "an account is known by its subject, whatever its address is now"
    heir = claims(inst, sub="another-subject")
    assert "another account" in sign_in(inst, heir).why
    commands.release_account(inst, "mara@example.com", actor="person:root@example.com")
    assert sign_in(inst, heir).role is Role.OPERATOR


def test_disabled_and_changed_people_are_so_at_the_next_look(inst: Installation) -> None:
    add(inst, MARA, "operator")
    root = "person:root@example.com"
    token = claims(inst)
    assert sign_in(inst, token).may("backup.create")
    commands.set_role(inst, MARA, Role.VIEWER, actor=root)
    assert not sign_in(inst, token).may("backup.create")
    commands.disable_person(inst, MARA, actor=root)
    assert sign_in(inst, token).why == f"{MARA} is disabled."
    assert standing_of(inst, MARA).role is None
    with pytest.raises(NotPermitted, match="is disabled"):
        commands.submit_health(inst, actor=MARA, queue=False)
    commands.enable_person(inst, MARA, actor=root)
    assert sign_in(inst, token).role is Role.VIEWER


def test_an_admin_by_the_settings_who_is_disabled_is_out(inst: Installation) -> None:
    root = "person:root@example.com"
    add(inst, MARA, "admin")
    sign_in(inst, claims(inst, "root@example.com"))
    commands.disable_person(inst, root, actor=MARA)
    assert sign_in(inst, claims(inst, "root@example.com")).role is None
    for change in (
        lambda: commands.set_role(inst, MARA, Role.VIEWER, actor=MARA),
        lambda: commands.set_role(inst, MARA, None, actor=MARA),
        lambda: commands.disable_person(inst, MARA, actor=MARA),
    ):
        with pytest.raises(InputError, match=r"Nobody would be an admin|shut yourself out"):
            change()
    assert standing_of(inst, MARA).role is Role.ADMIN


def test_people_are_added_once_and_unknown_ones_are_said(inst: Installation) -> None:
    root = "person:root@example.com"
    made = commands.add_person(inst, " Mara@Example.com", Role.VIEWER, name="Mara", actor=root)
    assert (made.identity, made.created_by, made.source) == (MARA, root, "person")
    with pytest.raises(AlreadyExists):
        commands.add_person(inst, MARA, Role.ADMIN, actor=root)
    with pytest.raises(UnknownName, match=r"Did you mean person:mara@example\.com"):
        commands.set_role(inst, "mara@example.con", Role.ADMIN, actor=root)
    with pytest.raises(InputError, match="admin by the settings"):
        commands.set_role(inst, root, Role.VIEWER, actor=root)
    for name in ("x" * 201, "a\nb", "\x1b[2J"):
        with pytest.raises(InputError, match="no name"):
            commands.add_person(inst, "new@example.com", Role.VIEWER, name=name, actor=root)
    commands.add_person(inst, "cli:deploy@*", Role.OPERATOR, actor=root)
    assert standing_of(inst, "cli:deploy@build7").role is Role.OPERATOR
    assert standing_of(inst, "cli:deployer@build7").role is None


def test_an_older_sign_in_does_not_bring_back_a_role_that_a_later_one_took(inst: Installation, clock: SetClock) -> None:
    before = claims(inst, groups=["backup-admins"])
    clock.now += timedelta(hours=1)
    same = claims(inst, groups=["backup-admins"])
    assert sign_in(inst, before).role is Role.ADMIN
    assert sign_in(inst, same).role is Role.ADMIN
    assert sign_in(inst, before).role is Role.ADMIN, "where they say the same, both go on"
    clock.now += timedelta(hours=1)
    after = claims(inst, groups=["dba"])
    assert sign_in(inst, after).role is Role.OPERATOR
    for old in (before, same):
        found = sign_in(inst, old)
        assert (found.role, "has ended" in found.why) == (None, True)
    assert sign_in(inst, after).role is Role.OPERATOR
    assert standing_of(inst, MARA).role is Role.OPERATOR
    with inst.catalog.engine.begin() as connection:  # two tabs at the same moment: the older one had looked before
        assert not inst.catalog.people.renew(MARA, connection, clock.now - timedelta(hours=1), role=Role.ADMIN)
    assert standing_of(inst, MARA).role is Role.OPERATOR
    clock.now += timedelta(hours=1)
    assert sign_in(inst, claims(inst)).role is None, "nor does leaving every group leave the role"
    assert sign_in(inst, after).role is None


def test_whose_account_was_released_does_not_take_it_back_by_an_open_tab(inst: Installation, clock: SetClock) -> None:
    add(inst, MARA, "operator")
    old = claims(inst)
    assert sign_in(inst, old).role is Role.OPERATOR
    clock.now += timedelta(minutes=5)
    commands.release_account(inst, "mara@example.com", actor="person:root@example.com")
    assert "has ended" in sign_in(inst, old).why
    person = inst.catalog.people.find([MARA])
    assert person is not None
    assert person.subject is None
    clock.now += timedelta(minutes=5)
    assert sign_in(inst, claims(inst, sub="the-heir")).role is Role.OPERATOR
    assert "another account" in sign_in(inst, claims(inst)).why


def test_what_a_sign_in_changes_of_people_is_in_the_audit_log(inst: Installation, clock: SetClock) -> None:
    def written() -> list[tuple[str, str, dict[str, Any]]]:
        with inst.catalog.engine.connect() as connection:
            rows = connection.execute(sa.select(audit_log).order_by(audit_log.c.number)).all()
        return [(row.actor, row.action, row.detail if isinstance(row.detail, dict) else json.loads(row.detail))
                for row in rows]  # fmt: skip

    account = f"{ISSUER} sub-mara@example.com"
    sign_in(inst, claims(inst, groups=["dba"]))
    clock.now += timedelta(minutes=1)
    after = claims(inst, groups=["backup-admins"])
    for _ in range(2):
        sign_in(inst, after)
    what = {"command": "sign_in", "by": "claims"}
    assert written() == [
        (MARA, "people.change", what | {"role": "operator", "account": account}),
        (MARA, "people.change", what | {"role": "admin", "before": "operator"}),
    ]
    add(inst, JONAS, "viewer")
    sign_in(inst, claims(inst, "jonas@example.com"))
    assert written()[-1] == (
        JONAS, "people.change", {"command": "sign_in", "account": f"{ISSUER} sub-jonas@example.com"}
    )  # fmt: skip


def test_visits_do_not_fill_the_audit_log(tmp_path: Path, clock: SetClock) -> None:
    inst = make_installation(tmp_path, clock=clock)

    def recorded() -> int:
        with inst.catalog.engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(audit_log)) or 0)

    for _ in range(3):
        note_refused_visit(inst, actor=MARA, action="sign_in", why="Nobody knows them.")
    note_refused_visit(inst, actor=MARA, action="people.change", why="They may not.")
    assert recorded() == 2
    assert [is_due(inst, MARA, "sign_in") for _ in range(2)] == [True, False]
    clock.now += timedelta(minutes=1)
    assert is_due(inst, MARA, "sign_in")
    for number in range(MOST_REFUSALS + 5):
        note_refused_visit(inst, actor=f"person:x{number}@example.com", action="sign_in", why="Nobody knows them.")
    assert recorded() == 2 + MOST_REFUSALS, "of everybody together"
    assert is_due(inst, JONAS, "sign_in"), "whoever gets in is recorded"
    inst.close()


def test_a_page_that_a_proxy_signed_in_ends_as_a_sign_in_does(tmp_path: Path, clock: SetClock) -> None:
    access = AccessSettings(
        mode="proxy", proxy_header="Remote-User", proxy_addresses=("10.0.0.5",), admins=("root",),
        roles={"dba": Role.OPERATOR, "staff": Role.VIEWER},
    )  # fmt: skip
    inst = make_installation(tmp_path, access=access, clock=clock)
    opened = clock.now
    assert sign_in_by_proxy(inst, "mara", "dba", began=opened).role is Role.OPERATOR
    clock.now += timedelta(hours=1)
    assert sign_in_by_proxy(inst, "mara", "staff", began=clock.now).role is Role.VIEWER
    assert "Load the page again" in sign_in_by_proxy(inst, "mara", "dba", began=opened).why, "older groups"
    assert sign_in_by_proxy(inst, "root", began=opened).role is Role.ADMIN
    clock.now = opened + timedelta(hours=12)
    found = sign_in_by_proxy(inst, "root", began=opened)
    assert (found.role, "load it again" in found.why) == (None, True)
    inst.close()


def test_a_proxy_s_name_is_one_of_its_own_kind(tmp_path: Path) -> None:
    access = AccessSettings(
        mode="proxy", proxy_header="Remote-User", proxy_addresses=("10.0.0.5",), admins=("root",),
        roles={"dba": Role.OPERATOR},
    )  # fmt: skip
    inst = make_installation(tmp_path, access=access)
    now = inst.clock()
    assert sign_in_by_proxy(inst, "Root", began=now).role is Role.ADMIN
    assert sign_in_by_proxy(inst, "mara", "staff, dba", began=now).role is Role.OPERATOR
    assert sign_in_by_proxy(inst, "jonas", began=now).role is None
    assert sign_in_by_proxy(inst, "jo nas", began=now).actor == "nobody"
    people: list[Person] = inst.catalog.people.all()
    assert [person.identity for person in people] == ["proxy:mara", "proxy:root"]
