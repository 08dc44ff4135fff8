"""What is secret in a command that somebody else wrote."""

from __future__ import annotations

import pytest

from services.settings.secret_texts import mask_command


@pytest.mark.parametrize(
    "command",
    [
        "AWS_SECRET_ACCESS_KEY=planted/1+x wal-g wal-push %p",
        "pgbackrest --repo1-cipher-pass=planted --stanza=x archive-push %p",
        "pgbackrest --repo1-s3-key-secret planted archive-push %p",
        "env PGPASSWORD='planted by hand' backups pitr wal-push %p",
        "CATALOG_URL=postgresql://u:planted@h/db backups pitr wal-push %p",
        "CATALOG_URL=postgresql://u@h/db?password=planted backups pitr wal-push %p",
        "backups pitr wal-push --with AGE-SECRET-KEY-1PLANTED %p",
        "known-planted-text %p",
    ],
)
def test_what_a_command_holds_of_secrets_is_masked(command: str) -> None:
    masked = mask_command(command, ["known-planted-text"])
    assert "planted" not in masked.lower()
    assert "***" in masked
    assert "%p" in masked


@pytest.mark.parametrize(
    "command",
    [
        "env BACKUPS_CONFIG=/etc/backups.toml backups pitr wal-push %p",
        "pgbackrest --stanza=main --pg1-path=/var/lib/postgresql archive-push %p",
        "test ! -f /keys/%f && cp %p /keys/%f",
    ],
)
def test_a_command_without_secrets_is_shown_as_it_is(command: str) -> None:
    assert mask_command(command) == command
