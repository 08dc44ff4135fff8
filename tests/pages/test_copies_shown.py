"""Copies on the pages: how many of those that are wanted there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from services.installation import Installation
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import NOW, add_backup, installation


def in_two_storages(home: Path) -> Installation:
    """An installation whose one database, ``orders``, is to be in the storages ``local`` and ``offsite``."""
    inst = installation(home, "orders")
    second = inst.settings.storages[0].model_copy(update={"name": "offsite"})
    orders = inst.settings.databases[0].model_copy(update={"storages": ("local", "offsite")})
    update = {"storages": (*inst.settings.storages, second), "databases": (orders,)}
    return Installation(inst.settings.model_copy(update=update), inst.catalog, inst.clock)


def test_the_inventory_and_the_overview_count_the_copies(open_page: OpenPage, tmp_path: Path) -> None:
    inst = in_two_storages(tmp_path)
    add_backup(inst, "orders", NOW - timedelta(days=1))
    twice = add_backup(inst, "orders", NOW - timedelta(hours=1))
    inst.catalog.backups.save_copy(twice.id, replace(twice.copies[0], storage="offsite"))
    add_backup(inst, "orders", NOW - timedelta(days=2), state="expired", expired_at=NOW)
    frame = open_page(inst, "inventory").dataframe[0].value
    assert list(frame["Copies"]) == ["✓ 2 of 2", "▖ 1 of 2", "–"]
    text = everything(open_page(inst))
    assert "· 2/2 copies" in text
    assert "The last good backup has" not in text
    inst.catalog.backups.save_copy(twice.id, replace(twice.copies[0], storage="offsite", state="failed"))
    assert "The last good backup has 1 of 2 copies" in everything(open_page(inst))
