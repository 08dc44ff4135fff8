"""The server: ``python -m streamlit run dashboard/server.py``. Streamlit's own, with two routes for monitoring.

``app.py`` stays the entry point of every page; here is only what is no page, and before all of it the wall.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dashboard import wall
from dashboard.downloads import PATH as DOWNLOADS
from dashboard.downloads import download
from dashboard.edge import Edge
from dashboard.incidents import report_incident
from dashboard.monitor import Monitor
from dashboard.wall import Wall, access_of, auth_secrets, refuse_to_serve
from services.errors import BackupsError, SettingsError
from services.health.prometheus import CONTENT_TYPE
from services.log_output import configure_logging, reformat
from services.serve import hosts_of
from services.settings.load import load_settings

T = TypeVar("T")
LIMIT_SECONDS = 5.0
"""How long whoever asks waits for the catalogue."""
_NOT_KEPT = {"Cache-Control": "no-store"}

logger = logging.getLogger(__name__)
monitor = Monitor()


async def healthz(_request: Request) -> Response:
    """200 while this process and the catalogue answer, 503 otherwise; how the backups stand is no matter here."""
    found = await _in_time(monitor.health)
    status, said = found or (503, {"status": "unavailable", "catalogue": "does not answer in time"})
    return JSONResponse(said, status, headers=_NOT_KEPT)


async def metrics(_request: Request) -> Response:
    """Every check and number for Prometheus; 503 where a scrape would otherwise wait in vain."""
    text = await _in_time(monitor.metrics)
    if text is None:
        return PlainTextResponse("The catalogue does not answer in time.\n", 503, headers=_NOT_KEPT)
    return PlainTextResponse(text, headers=_NOT_KEPT | {"Content-Type": CONTENT_TYPE})


async def _in_time(read: Callable[[], T]) -> T | None:
    with anyio.move_on_after(LIMIT_SECONDS):
        return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
    return None


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Watch the alerts for as long as the server lives."""
    configure_logging()
    _write_one_log()  # again: there are further loggers by now
    logger.info("the dashboard listens on %s:%s", *map(st.get_option, ("server.address", "server.port")))
    monitor.start()
    try:
        yield
    finally:
        monitor.stop()


def edge(environ: dict[str, str]) -> dict[str, Any]:
    """Return what ``Edge`` is to know. Settings that are wrong are said by each page; until then: loopback alone."""
    try:
        settings = load_settings(environ, thorough=False)
    except SettingsError:
        return {}
    if settings is None:
        return {}
    url = settings.access.url or settings.alerts.dashboard_url or ""
    return {"hosts": sorted(hosts_of(settings)), "is_https": urlsplit(url).scheme == "https"}


def _write_one_log() -> None:
    """Have Streamlit's and uvicorn's own lines look like ours."""
    logging.getLogger("streamlit.error_util").setLevel(logging.CRITICAL)  # report_incident writes what it would
    reformat([name for name in logging.root.manager.loggerDict if name.startswith(("streamlit", "uvicorn"))])


_write_one_log()
access = access_of(os.environ)
known = edge(dict(os.environ))
try:
    refuse_to_serve(access, known.get("hosts", ()))
except BackupsError as error:
    sys.exit(f"Error: {error}")
wall.build()
app = st.App(
    Path(__file__).with_name("app.py"),
    secrets=auth_secrets(access),
    routes=[Route("/healthz", healthz), Route("/metrics", metrics), Route(DOWNLOADS, download)],
    lifespan=lifespan,  # type: ignore[arg-type]
    middleware=[Middleware(Edge, **known), Middleware(Wall, access=access)],
    on_script_error=report_incident,
)
