"""The workers on the page *Health and alerts*."""

from __future__ import annotations

from pathlib import Path

from tests.health.test_worker_checks import beat, world
from tests.pages.conftest import OpenPage


def test_the_page_lists_the_workers_and_says_when_their_versions_differ(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path)
    assert any("None runs" in block.value for block in open_page(inst, "health").caption)
    beat(inst, "db1", "default")
    beat(inst, "<b>db2", "default", "eu", ago=300, version="0.0.9")
    app = open_page(inst, "health")
    assert not app.exception
    lines = [block.value.replace("\\", "") for block in app.markdown if "process 1" in block.value]
    assert "**db1** · process 1 · version 0.1.0 · last heard 3 s ago" in lines[0]
    assert ":green[:material/check_circle: alive]" in lines[0]
    assert "silent" in lines[1]
    assert "**<b>db2** · process 1 · version 0.0.9 · serves default, eu" in lines[1]
    assert not any("Several versions" in str(block.value) for block in app.warning), "the other one is silent"
    beat(inst, "db3", "eu", version="0.2.0")
    (said,) = [block.value for block in open_page(inst, "health").warning if "version" in block.value]
    assert "0\\.2\\.0" in said
    inst.close()
