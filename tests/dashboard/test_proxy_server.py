"""A server behind a proxy that signs people in: the test is the proxy, on the address that is trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from services.installation import Installation, open_configured
from tests.access.people import add
from tests.dashboard.test_hardened_server import draw, request
from tests.dashboard.test_server import served
from tests.support.catalogs import make_catalog
from tests.support.installations import make_settings


def test_the_proxy_s_header_says_who_it_is_and_nothing_else_does(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    make_catalog(f"sqlite:///{home / 'catalog.db'}").close()
    inst: Installation = open_configured(make_settings(home))
    add(inst, "proxy:mara", "viewer")
    more = {
        "BACKUP_ACCESS": "proxy", "BACKUP_ADMINS": "root", "BACKUP_PROXY_HEADER": "Remote-User",
        "BACKUP_PROXY_ADDRESSES": "127.0.0.1",
    }  # fmt: skip
    with served(tmp_path, **more) as (url, written):
        address = url.removeprefix("http://")
        for path in ("/", "/inventory", "/_stcore/host-config", "/media/nothing", "/download/nothing"):
            assert request(address, "GET", path)[0] == 403, path
        assert request(address, "GET", "/", Remote_User="mara")[0] == 200
        spoofed = request(address, "GET", "/", Remote_User="mara", X_Forwarded_For="10.0.0.9")
        assert spoofed[0] == 200, "the address is the connection's, whatever a header says"
        with pytest.raises(InvalidStatus):
            draw(address, "")

        _, raw = draw(address, "", Remote_User="mara")
        assert b"Recent activity" in raw
        assert b":gray-badge[viewer]" in raw
        _, raw = draw(address, "people", Remote_User="mara")
        assert b"Only an admin may see people" in raw
        assert b"Let somebody in" not in raw
        _, raw = draw(address, "people", Remote_User="root")
        assert b"Let somebody in" in raw
        for stranger in ("nobody", "ma ra", "person:mara"):
            _, raw = draw(address, "", Remote_User=stranger)
            assert b"You have no access" in raw or b"You are not signed in" in raw, stranger
            assert b"Recent activity" not in raw
    inst.close()
    assert "Traceback" not in "".join(written)
