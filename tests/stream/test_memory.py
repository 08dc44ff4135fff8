"""The memory of a process that streams does not grow with what it streams."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.storage.conftest import juicefs, new_bucket  # noqa: F401 - a fixture
from tests.support.s3 import ACCESS_KEY, SECRET_KEY

CEILING_MB = 200
PLAIN_MB = 300

SCRIPT = textwrap.dedent("""
    import os, sys
    from datetime import timedelta
    from services.settings.model import StorageSettings
    from services.storage.open import open_storage
    from services.stream import generate_key, read_stream, write_stream
    from tests.stream.conftest import FakeRun

    url, endpoint, level, megabytes = sys.argv[1], sys.argv[2] or None, int(sys.argv[3]), int(sys.argv[4])

    class Source:  # one half of it compresses to nothing, so that the reading side meets both kinds
        left = megabytes
        def read(self, size=-1, /):
            self.left -= 1
            if self.left < 0:
                return b""
            return os.urandom(1 << 20) if self.left % 2 else bytes(1 << 20)

    secret, public = generate_key()
    keys = {"access_key_id": os.environ["KEY_ID"], "secret_access_key": os.environ["KEY"]} if endpoint else {}
    settings = StorageSettings.model_validate({"name": "s", "url": url, "endpoint_url": endpoint, **keys})
    storage = open_storage(settings)
    writer = storage.writer("shop/a.dump", expected_bytes=megabytes << 19)
    sent = write_stream(Source(), writer, level=level, recipients=[public], run=FakeRun())
    stored = writer.commit()
    assert stored.bytes == sent.stored_bytes
    back = read_stream(storage.reader("shop/a.dump"), lambda piece: None, compression="zstd", encryption="age",
                       identities=[secret], run=FakeRun())
    assert (back.plain_sha256, back.stored_sha256) == (sent.plain_sha256, sent.stored_sha256)
    assert back.plain_bytes == megabytes << 20
    # Not ru_maxrss: that begins with what the parent had when it forked.
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")))
""")


def peak_mb(url: str, endpoint: str = "", *, level: int = 3, megabytes: int = PLAIN_MB) -> int:
    """Stream there and back in a process of its own; return the most memory that it ever had, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, url, endpoint, str(level), str(megabytes)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd()), "KEY_ID": ACCESS_KEY, "KEY": SECRET_KEY},
        check=True,
        capture_output=True,
        text=True,
        timeout=150,
    )
    return int(done.stdout)


@pytest.mark.parametrize(("level", "megabytes"), [(3, PLAIN_MB), (9, 150), (19, 24)])
def test_streaming_to_a_folder_and_back_stays_under_the_ceiling(tmp_path: Path, level: int, megabytes: int) -> None:
    peak = peak_mb(f"file://{tmp_path}/backups", level=level, megabytes=megabytes)
    print(f"level {level}, {megabytes} MB: {peak} MB")
    assert peak < CEILING_MB


def test_streaming_to_a_real_s3_server_and_back_stays_under_the_ceiling(juicefs: str) -> None:  # noqa: F811
    peak = peak_mb(f"s3://{new_bucket(juicefs)}/p", juicefs)
    print(f"S3, {PLAIN_MB} MB: {peak} MB")
    assert peak < CEILING_MB
