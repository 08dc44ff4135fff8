"""Pages as each role: what is not offered is not there, what is not theirs is not run, and signed out nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.navigation.page import Page
from streamlit.testing.v1 import AppTest

from dashboard import wall
from dashboard.navigation import _TITLES
from services import commands
from services.access.roles import Role
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.access.test_sign_in import ISSUER, OIDC
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import healthy


@pytest.fixture(scope="module")
def inst(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = healthy(tmp_path_factory.mktemp("roles"), days=3)
    access = AccessSettings(**OIDC)
    made.settings = made.settings.model_copy(update={"access": access})
    for role in Role:
        add(made, f"person:{role}@example.com", role)
    return made


@pytest.fixture(autouse=True)
def _behind_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall, "_built", [True])


def as_role(inst: Installation, open_page: OpenPage, role: str, page: str = "overview") -> AppTest:
    """Open a page as somebody of this role."""
    name, began = f"{role}@example.com", int(inst.clock().timestamp())
    user = {
        "is_logged_in": True, "iss": ISSUER, "aud": "backups", "sub": name, "email": name, "email_verified": True,
        "iat": began, "name": f"The {role}",
    }  # fmt: skip
    return open_page(inst, page, user)


def test_signed_out_no_page_is_run(inst: Installation, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Page, "run", lambda self: pytest.fail(f"{self.title} was run"))
    for page in _TITLES:
        app = open_page(inst, page)
        assert "Sign in to see how the backups stand." in everything(app)
        assert not app.exception
        assert [button.label for button in app.button] == ["Sign in"]


def test_every_page_as_every_role(inst: Installation, open_page: OpenPage) -> None:
    telling = ("retention", "storage", "schedules", "people", "run_backup")  # where operators meet what is not theirs
    for role in Role:
        for page in telling if role is Role.OPERATOR else _TITLES:
            app = as_role(inst, open_page, role, page)
            assert not app.exception, (role, page, app.exception)
            text = everything(app)
            assert "Sign in to see" not in text
            refused = page == "people" and role is not Role.ADMIN
            assert ("Only an admin may see people" in text) is refused, page
            assert ("Let somebody in" in text) is (page == "people" and not refused), page
            labels = [button.label for button in app.button]
            if role is Role.VIEWER:
                assert labels in (["Sign out"], ["Check again", "Sign out"], ["Sign out", "Check again"]), (
                    page,
                    labels,
                )
            if page == "retention":
                assert ("Clean up now …" in labels) <= (role is Role.ADMIN)
            if page == "storage":
                assert ("Compress older backups …" in labels) is (role is Role.ADMIN)


def test_records_name_the_person_and_the_service_refuses_what_a_page_would_not_offer(
    inst: Installation, open_page: OpenPage
) -> None:
    app = as_role(inst, open_page, "operator", "verify_and_restore")
    next(button for button in app.button if button.label != "Sign out").click().run()
    (run,) = inst.catalog.runs.list(limit=1)
    assert run.actor == "person:operator@example.com"


def test_a_person_who_is_disabled_while_a_page_is_open_is_out_with_the_next_run(
    inst: Installation, open_page: OpenPage
) -> None:
    add(inst, "person:mara@example.com", "admin")
    app = as_role(inst, open_page, "mara", "people")
    assert "Let somebody in" in everything(app)
    commands.disable_person(inst, "mara@example.com", actor="person:admin@example.com")
    app.run()
    assert "is disabled" in str(app.warning[0].value)
    assert "Let somebody in" not in everything(app)


def test_an_admin_lets_somebody_in_on_the_page(inst: Installation, open_page: OpenPage) -> None:
    app = as_role(inst, open_page, "admin", "people")
    app.text_input[0].set_value("new@example.com")
    next(button for button in app.button if button.label == "Let in").click().run()
    assert not app.exception
    person = inst.catalog.people.find(["person:new@example.com"])
    assert person is not None
    assert (person.role, person.created_by) == (Role.VIEWER, "person:admin@example.com")


def test_pages_hold_no_call_past_the_gate() -> None:
    """What pages change goes through ``services.commands``, whose every function asks for the person's right."""
    root = Path(__file__).resolve().parents[2]
    for path in [*root.glob("pages/*.py"), *root.glob("dashboard/**/*.py")]:
        assert 'actor="' not in path.read_text(), path
