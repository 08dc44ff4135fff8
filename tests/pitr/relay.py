"""Lets a server run our commands where its own user cannot: the tests may run as root, and the server never does.

The server calls a shell script, which hands its arguments and folder to us through a pipe and ends with the exit code
that comes back. What we start is the real command, in a process of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

from services.postgres.server_user import server_user

_SCRIPT = """#!/bin/sh
reply="{folder}/reply.$$"
mkfifo "$reply" || exit 99
printf '%s\\t%s\\t%s\\n' "$reply" "$PWD" "$*" > "{folder}/requests"
read -r code < "$reply"
rm -f "$reply"
exit "$code"
"""


class Relay:
    """Runs ``backups pitr …`` for servers. ``environ`` is that of the command, and may be changed while it runs."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.environ = environ
        self.said: list[str] = []
        """What the commands wrote on standard error."""
        user = server_user()
        folder.mkdir(parents=True)
        os.mkfifo(folder / "requests")
        self.script = folder / "relay.sh"
        self.script.write_text(_SCRIPT.format(folder=folder))
        self.script.chmod(0o755)
        for path in (folder, folder / "requests", self.script):
            user.own(path)
        # read and write: the pipe has no end while nobody else holds it
        self._requests = os.fdopen(os.open(folder / "requests", os.O_RDWR), "r+b", buffering=0)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def command(self, *words: str) -> str:
        """Return the words for ``archive_command`` or ``restore_command``."""
        return f"timeout 120 {shlex.quote(str(self.script))} {' '.join(words)}"

    def close(self) -> None:
        """Stop serving."""
        self._requests.write(b"\n")
        self._thread.join(30)
        self._requests.close()

    def _serve(self) -> None:
        while line := self._requests.readline().decode().rstrip("\n"):
            reply, folder, words = line.split("\t")
            done = subprocess.run(
                [sys.executable, "-m", "services.cli.main", "pitr", *shlex.split(words)],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **self.environ},
                capture_output=True,
                text=True,
                timeout=120,
            )
            self.said.append(done.stderr)
            fetched = Path(folder, shlex.split(words)[-1])
            if "wal-fetch" in words and fetched.exists():
                server_user().own(fetched)
            Path(reply).write_text(f"{done.returncode}\n")
