"""``backups keys``: an offline key is added, everything rotated to it, drilled with it, and written on a sheet."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from services.stream.encryption import generate_key
from tests.cli.conftest import Shell

OFFLINE, STRANGE = generate_key(), generate_key()


def key_file(shell: Shell, name: str, secret: str) -> str:
    path = shell.folder / name
    path.write_text(f"# created: today\n# public key: …\n{secret}\n")
    return str(path)


def test_an_offline_key_is_added_everything_rotated_to_it_and_it_is_drilled(shell: Shell) -> None:
    shell.secrets += [OFFLINE[0], STRANGE[0]]
    own = shell.variables["BACKUP_RECIPIENTS"]
    shell.create("--name", "stream")
    shell.create("--name", "parallel", "--jobs", "2")
    assert shell.run("restore-test", "stream", "--quiet").exit_code == 0
    (only,) = shell.json("keys", "list")["keys"]
    assert (only["role"], only["backups"], only["only_it"]) == ("worker's key", 2, 2)
    assert "There is one recipient" in shell.run("keys", "list").stderr
    shell.variables["BACKUP_RECIPIENTS"] = f"{own} {OFFLINE[1]}"
    assert shell.json("keys", "list")["not_rotated"] == 2
    plan = shell.json("keys", "rotate")
    assert [each["backup"] for each in plan["backups"]] == ["stream", "parallel"]
    assert "Nothing was changed; add --apply" in shell.run("keys", "rotate").stdout
    done = shell.run("keys", "rotate", "--apply", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert "Encrypted 2 backups anew" in done.stdout
    assert shell.json("keys", "rotate")["backups"] == []
    listed = {backup["name"]: backup for backup in shell.json("list")}
    assert {tuple(backup["recipients"]) for backup in listed.values()} == {(own, OFFLINE[1])}
    assert listed["stream"]["proven_at"] is not None, "it holds the very dump that was proven"
    offline = key_file(shell, "offline.txt", OFFLINE[0])
    for name in ("stream", "parallel"):
        only_offline = {"BACKUP_ENCRYPTION_KEY": OFFLINE[0]}
        signed_by = {"BACKUP_OLD_ENCRYPTION_KEYS": shell.variables["BACKUP_ENCRYPTION_KEY"]}
        checked = shell.run("verify", name, "--level", "archive", "--quiet", **only_offline, **signed_by)
        assert checked.exit_code == 0, checked.stderr
        held = shell.run("keys", "drill", "--identity", offline, "--backup", name)
        assert held.exit_code == 0, held.stderr
        assert name in held.stdout
    strange = shell.run("keys", "drill", "--identity", key_file(shell, "strange.txt", STRANGE[0]))
    assert strange.exit_code == 1
    assert f"{STRANGE[1]}, to which nothing is encrypted" in strange.stderr
    told = shell.json("keys", "list")
    assert [drill["passed"] for drill in told["drills"]] == [False, True, True]
    assert all(drill["actor"].startswith("cli:") for drill in told["drills"])
    by_key = {key["public_key"]: key for key in told["keys"]}
    assert by_key[OFFLINE[1]]["proven_at"] is not None
    assert by_key[own]["drill_due_at"] is None, "the worker uses its own key every day"


def test_a_drill_before_the_first_backup_opens_a_sealed_text_and_no_key_file_is_said(shell: Shell) -> None:
    held = shell.run("keys", "drill", "-i", key_file(shell, "own.txt", shell.variables["BACKUP_ENCRYPTION_KEY"]))
    assert held.exit_code == 0, held.stderr
    assert "no stored backup yet" in held.stdout
    nothing = shell.run("keys", "drill", "-i", key_file(shell, "nothing.txt", "# nothing"))
    assert (nothing.exit_code, "holds no key" in nothing.stderr) == (2, True)
    garbage = shell.run("keys", "drill", "-i", key_file(shell, "garbage.txt", "planted-garbage"))
    assert (garbage.exit_code, "planted-garbage" in garbage.stderr) == (2, False)


def test_the_sheet_names_the_newest_proven_backup_with_commands_that_work_and_no_secret(shell: Shell) -> None:
    shell.variables["BACKUP_SIGNING_KEY"] = "cGxhbnRlZC1zaWduaW5nLWtleS1vZi0zMi1ieXRlcyE="
    shell.secrets.append(shell.variables["BACKUP_SIGNING_KEY"])
    backup = shell.create("--name", "proven")
    shell.run("restore-test", "proven", "--quiet")
    shell.create("--name", "newer")
    text = shell.run("keys", "sheet").stdout
    assert "1 of 1 databases have a backup here that a restore test proved" in text
    assert shell.variables["BACKUP_RECIPIENTS"] in text
    assert "Backup: proven" in text
    assert "postgresql-client-15" in text
    block = text[text.index("From primary, in bash:") :]
    commands = "\n".join(line[4:] for line in block.splitlines() if line.startswith("    ")).partition("createdb ")[0]
    assert backup["sha256"] in commands
    assert max(map(len, commands.splitlines())) <= 100 + len(str(shell.folder)), "they fit on paper"
    folder = shell.folder / "by-hand"
    folder.mkdir()
    subprocess.run(["bash", "-ec", commands], cwd=folder, check=True, capture_output=True)
    pdf = Path(shell.folder / "sheet.pdf")
    made = shell.run("keys", "sheet", "--format", "pdf", "--output", str(pdf))
    assert made.exit_code == 0, made.stderr
    assert pdf.read_bytes().startswith(b"%PDF")
    taken = [row["detail"] for row in shell.json("audit", "list") if row["action"] == "export"]
    assert [json.loads(detail)["file"] for detail in taken] == ["recovery-sheet.pdf", "recovery-sheet.txt"]
    assert not [secret for secret in shell.secrets if secret.encode() in pdf.read_bytes()]
    assert json.dumps(shell.json("keys", "list")).count(shell.variables["BACKUP_RECIPIENTS"]) >= 1
