"""Charts as files: made here, in the light theme, without asking anybody."""

from __future__ import annotations

import socket
import struct
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dashboard.charts.calendar import calendar_panel
from dashboard.charts.export import WIDTH, chart_png, chart_svg
from dashboard.charts.panel import Panel
from dashboard.charts.trends import panels
from dashboard.theme import DARK, LIGHT
from services.trends.query import TrendsQuery
from services.trends.trends import load_trends
from tests.pages.worlds import NOW, healthy

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Panel]:
    inst = healthy(tmp_path_factory.mktemp("drawn"))
    query = TrendsQuery(NOW.date() - timedelta(days=29), NOW.date(), ("la_factoria", "orders"))
    trends = load_trends(inst, query)
    return {panel.key: panel for panel in [*panels(trends), calendar_panel(trends)]}


@pytest.mark.parametrize(
    "key",
    ["duration", "throughput", "database-size", "backup-size", "success", "restore-time", "storage-usage", "calendar"],
)
def test_every_chart_becomes_a_picture_and_a_drawing(drawn: dict[str, Panel], key: str) -> None:
    panel = drawn[key]
    png = chart_png(panel.make, panel.rows, *panel.options, title=panel.title)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width >= 2 * WIDTH
    assert height > 200
    svg = chart_svg(panel.make, panel.rows, *panel.options, title=panel.title)
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert panel.title in texts
    assert LIGHT.text in svg or LIGHT.idle in svg
    assert DARK.text not in svg, "a file is for paper, whatever the page looks like"
    assert 'fill="#FFFFFF"' in svg or "#ffffff" in svg.lower()


def test_a_drawing_has_a_mark_for_each_point_in_utc(drawn: dict[str, Panel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    panel = drawn["duration"]
    root = ElementTree.fromstring(chart_svg(panel.make, panel.rows, *panel.options))
    groups = [group for group in root.iter(f"{SVG}g") if "mark-symbol" in group.get("class", "")]
    symbols = [path for group in groups for path in group.iter(f"{SVG}path")]
    assert len(symbols) == (panel.rows["kind"].isin(["point", "outlier"])).sum()
    assert {"la_factoria", "orders", "Duration (s)"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_nobody_is_asked_for_anything(drawn: dict[str, Panel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a chart asked the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    panel = drawn["calendar"]
    svg = chart_svg(panel.make, panel.rows, *panel.options)
    assert "<image" not in svg
    links = [part.split('"')[0] for part in svg.split('="http')[1:]]
    assert all(link.startswith("://www.w3.org/") for link in links), links
