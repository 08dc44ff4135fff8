"""Pages run by AppTest through the real entry point, on catalogues made by ``worlds``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard.session
from services.installation import Installation

ROOT = Path(__file__).resolve().parents[2]
OpenPage = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """Return ``(installation, page="overview", user=None, **query_params) -> AppTest``, run once.

    ``user``: the claims of whoever is signed in.
    """

    def opened(
        inst: Installation, page: str = "overview", user: dict[str, object] | None = None, **params: str
    ) -> AppTest:
        monkeypatch.setattr(dashboard.session, "installation", lambda: inst)
        st.cache_data.clear()
        app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
        if user is not None:
            app.user = user
        for name, value in params.items():
            app.query_params[name] = value
        if page != "overview":
            app.switch_page(f"../pages/{page}.py")
        return app.run()

    yield opened
    st.cache_data.clear()


def everything(app: AppTest) -> str:
    """Return all text of a page."""
    parts = [
        str(block.value) for block in (*app.markdown, *app.caption, *app.code, *app.error, *app.warning, *app.info)
    ]
    parts += [f"{metric.label} {metric.value} {metric.delta}" for metric in app.metric]
    return "\n".join(parts)
