"""Sign-in as people meet it: a real provider, a real browser, a dashboard that was never asked for anything before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.navigation import _TITLES
from services import commands
from services.access.roles import Role
from tests.access.people import add
from tests.browser.conftest import WAIT_MS
from tests.browser.signing_in import CLIENT, SignInSite, sign_in_site
from tests.browser.test_accessible import LOOKS, SIZES, _serious

ROOT = "person:root@example.com"
NewTab = Callable[..., Page]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInSite]:
    with sign_in_site(tmp_path_factory.mktemp("signed")) as made:
        yield made


@pytest.fixture
def visitor(chromium: Browser, site: SignInSite) -> Iterator[Page]:
    """A tab of a browser that knows nobody; ``page.context`` opens further ones."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=site.url)
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    yield context.new_page()
    context.close()


def sign_in(page: Page, sub: str) -> None:
    """Go to the dashboard and through the provider as this account."""
    page.goto("/")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_placeholder("sub").fill(sub)
    page.get_by_role("button", name="Authorize", exact=True).click()


def is_overview(page: Page) -> None:
    expect(page.get_by_text("Recent activity")).to_be_visible()


def is_wall(page: Page, words: str = "Sign in to see how the backups stand.") -> None:
    expect(page.get_by_text(words)).to_be_visible()
    assert page.get_by_test_id("stSidebarNav").count() == 0
    assert page.get_by_text("Recent activity").count() == 0


def test_signed_out_no_url_shows_anything_of_its_page(visitor: Page, axe: str) -> None:
    for name in reversed(_TITLES):  # the first request that this server ever gets goes to a page's own URL
        visitor.goto("/" if name == "overview" else f"/{name}")
        is_wall(visitor)
        assert visitor.title() == "Sign in · Proven backups"
        assert visitor.get_by_role("heading").all_inner_texts() == ["Proven backups"], name
    visitor.evaluate(axe)
    for size, scheme in LOOKS:
        width, height = SIZES[size]
        visitor.set_viewport_size({"width": width, "height": height})
        visitor.emulate_media(color_scheme=scheme)
        expect(visitor.locator(".stApp")).to_have_css("color-scheme", scheme)
        assert _serious(visitor) == [], scheme


def test_a_person_signs_in_and_out_and_another_tab_is_out_with_them(visitor: Page, site: SignInSite) -> None:
    site.account("root@example.com")
    sign_in(visitor, "root@example.com")
    is_overview(visitor)
    expect(visitor.get_by_text("admin", exact=True)).to_be_visible()
    second = visitor.context.new_page()
    second.goto("/people")
    expect(second.get_by_role("heading", name="People", exact=True)).to_be_visible()
    expect(second.get_by_text("Let somebody in")).to_be_visible()
    time.sleep(1.1)  # a token says when it began to the second
    visitor.get_by_role("button", name="Sign out").click()
    visitor.wait_for_url(lambda url: url.startswith(site.provider))  # which ends its own session, if asked to
    second.get_by_text("What each role may").click()
    second.get_by_role("button", name="Let in").click()
    expect(second.get_by_text("This sign-in has ended: you have signed out")).to_be_visible()
    third = visitor.context.new_page()
    third.goto("/")
    is_wall(third)


def test_tokens_for_others_expired_ones_and_unknown_people_get_nowhere(visitor: Page, site: SignInSite) -> None:
    now = int(time.time())
    add(site.inst, "person:wrong@example.com", "admin")
    for claims, words in (
        ({"aud": ["another"], "azp": CLIENT}, "another audience"),
        ({"exp": now - 3600, "iat": now - 7200}, "You were not signed in"),
        ({"iat": now - 13 * 3600}, "has expired"),
    ):
        visitor.context.clear_cookies()
        site.account("wrong@example.com", **claims)
        sign_in(visitor, "wrong@example.com")
        is_wall(visitor, words)
    visitor.context.clear_cookies()
    site.account("stranger@example.com")
    sign_in(visitor, "stranger@example.com")
    is_wall(visitor, "is not among the people of this installation.")
    expect(visitor.get_by_text("backups people add person:stranger@example.com --role viewer")).to_be_visible()


def test_a_role_that_changes_or_ends_in_mid_session_does_so_at_the_next_click(visitor: Page, site: SignInSite) -> None:
    site.account("mara@example.com")
    add(site.inst, "person:mara@example.com", "operator")
    sign_in(visitor, "mara@example.com")
    is_overview(visitor)
    visitor.get_by_role("link", name="Verify and restore tests").click()
    expect(visitor.get_by_role("heading", name="Check a backup")).to_be_visible()
    assert visitor.get_by_text("Only an operator may").count() == 0
    commands.set_role(site.inst, "mara@example.com", Role.VIEWER, actor=ROOT)
    visitor.get_by_role("link", name="Verify and restore tests").click()
    expect(visitor.get_by_text("Only an operator may verify a backup; you are a viewer.")).to_be_visible()
    visitor.goto("/people")
    expect(visitor.get_by_text("This page needs another role")).to_be_visible()
    assert visitor.get_by_text("Let somebody in").count() == 0
    commands.disable_person(site.inst, "mara@example.com", actor=ROOT)
    visitor.get_by_role("link", name="Overview").click()
    is_wall(visitor, "is disabled.")


def test_what_draws_itself_anew_is_gone_without_a_click(visitor: Page, site: SignInSite) -> None:
    site.account("jonas@example.com")
    add(site.inst, "person:jonas@example.com", "viewer")
    sign_in(visitor, "jonas@example.com")
    is_overview(visitor)
    commands.disable_person(site.inst, "jonas@example.com", actor=ROOT)
    is_wall(visitor, "is disabled.")  # the overview looks every few seconds


def test_secrets_of_the_sign_in_are_in_no_answer(visitor: Page, site: SignInSite) -> None:
    site.account("root@example.com")
    sign_in(visitor, "root@example.com")
    is_overview(visitor)
    log = Path(str(site.inst.settings.home.parent / "dashboard.log")).read_text()
    for secret in ("planted-client-secret", "planted-cookie-secret"):
        assert secret not in visitor.content()
        assert secret not in log
