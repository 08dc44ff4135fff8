"""A presigned URL: one object, as a file to be saved, for whoever has the URL, and nothing else."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import timedelta

import pytest

from services.downloads.model import disposition
from services.storage.local import LocalStorage
from services.storage.presign import presigned_url
from services.storage.protocol import Storage
from tests.support.s3 import SECRET_KEY


def get(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {}, error.read()


def test_a_browser_fetches_an_object_of_a_bucket_itself(storage: Storage) -> None:
    storage.put("d/a.dump.zst.age", b"sealed")
    storage.put("d/b.dump.zst.age", b"another")
    header = disposition('na"me\r\nX: y.age')
    url = presigned_url(storage, "d/a.dump.zst.age", disposition=header, good_for=timedelta(minutes=5))
    if isinstance(storage, LocalStorage):
        assert url is None
        return
    assert url is not None
    assert SECRET_KEY not in url
    assert "X-Amz-Expires=300" in url
    status, headers, body = get(url)
    assert (status, body) == (200, b"sealed")
    assert headers["content-disposition"] == header
    assert "x" not in headers
    if "werkzeug" not in headers.get("server", "").lower():  # moto takes any signature
        assert headers["server"]
        for changed in (url.replace("/a.dump", "/b.dump"), url.replace("X-Amz-Expires=300", "X-Amz-Expires=9999")):
            assert get(changed)[0] == 403


@pytest.mark.parametrize("name", ["ü.age", 'a"b', "a\r\nSet-Cookie: x", "../../etc/passwd"])
def test_the_header_that_names_a_file_holds_one_line_and_no_path(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert "\r" not in header
    assert "\n" not in header
    assert "/" not in header.replace("%2F", "")
    assert header.count('"') == 2
