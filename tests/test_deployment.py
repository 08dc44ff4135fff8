"""The deployment files keep to the product: variables and commands that exist, versions that agree, no root."""

from __future__ import annotations

import configparser
import json
import re
import sqlite3
import subprocess
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import typer
import yaml

from services.clock import utc_now
from services.settings.environment import Environment
from services.settings.load import load_settings
from tests.support.catalogs import make_catalog

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
GUIDE = (ROOT / "docs" / "deployment.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
RAILWAY = [ROOT / "railway.json", *sorted((ROOT / "deploy").glob("railway.*.json"))]
PRODUCT = ("migrate", "dashboard", "worker")
ELSEWHERE = {"CATALOG_PASSWORD", "PORT", "PATH", "PIP_NO_CACHE_DIR", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
"""Variables that are not the product's settings: compose's own, the platform's, Python's."""


def program() -> Any:
    from services.cli.main import app

    return typer.main.get_command(app)


def check_command(words: list[str]) -> None:
    """Fail unless ``backups WORDS`` is a command, with options that it has."""
    command = program()
    for place, word in enumerate(words):
        if word.startswith("-"):
            options = {option for parameter in command.params for option in parameter.opts}
            assert word.partition("=")[0] in options, words
        elif hasattr(command, "commands"):
            assert word in command.commands, words
            command = command.commands[word]
        else:
            assert place, words  # an argument, or an option's value


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def test_each_command_that_is_started_exists() -> None:
    started = [json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])]
    started += [COMPOSE["services"][name]["command"] for name in PRODUCT]
    for path in RAILWAY:
        deploy = json.loads(path.read_text())["deploy"]
        for line in [*deploy.get("preDeployCommand", []), deploy.get("startCommand", "backups serve")]:
            program_name, *words = line.removeprefix("tini -- ").split()
            assert program_name == "backups"
            started.append(words)
    for path in UNITS:
        program_name, *words = unit(path)["Service"]["ExecStart"].split()
        assert program_name == "/opt/backups/.venv/bin/backups"
        started.append(words)
    (test,) = [COMPOSE["services"]["worker"]["healthcheck"]["test"]]
    started.append(test[2:])
    assert len(started) == 13
    for words in started:
        check_command(words)


def test_each_command_of_the_guide_exists() -> None:
    said = re.findall(
        r"(?:\brun|exec worker backups|(?<![/.\w-])backups|\.venv/bin/backups) ([a-z][a-z-]*(?: --[a-z]+)?)", GUIDE
    )
    commands = {line for line in said if line.split()[0] in program().commands}
    assert {
        "doctor",
        "create",
        "restore-test",
        "migrate",
        "rebuild",
        "worker --check",
        "worker --queues",
        "keygen --output",
    } <= commands
    for line in commands:
        check_command(line.split())
    for line in re.findall(r"`backups ([a-z-]+)[^`]*`", GUIDE):
        check_command([line])


def test_each_variable_exists_and_the_example_is_accepted() -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    known = set(Environment.model_fields) | ELSEWHERE
    named = set(example)
    named |= set(re.findall(r"^\s*(?:ENV )?([A-Z][A-Z_]+)=", DOCKERFILE, re.MULTILINE))
    named |= {name for service in PRODUCT for name in COMPOSE["services"][service].get("environment", {})}
    named |= {word.partition("=")[0] for path in UNITS for word in unit(path)["Service"]["Environment"].split()}
    named |= set(re.findall(r"\b((?:BACKUPS?|AWS|S3|CATALOG|DATABASE|RESTORE)_[A-Z_]+)\b", GUIDE))
    assert named - known == set()
    settings = load_settings(
        example | {"BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
    )
    assert settings is not None
    assert settings.access.mode == "none"
    secret = [name for name in example if re.search("KEY|SECRET|PASSWORD|TOKEN", name)]
    assert [name for name in secret if example[name]] == [], "an example has no secret in it"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = {COMPOSE["services"][name]["image"] for name in PRODUCT}
    assert images == {f"proven-backups:{project['version']}"}
    assert set(re.findall(r"proven-backups:([\d.]+\d)", GUIDE)) == {project["version"]}
    majors = re.findall(r'ARG PG_CLIENTS="([\d ]+)"', DOCKERFILE)
    assert majors == ["13 14 15 16 17 18"] == re.findall(r'install-postgresql-clients "([\d ]+)"\n', GUIDE)
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert bases == {"debian:bookworm-slim"}, "one base, with a Python that is new enough: 3.11"
    assert project["requires-python"] == ">=3.11"


def test_the_image_is_not_root_and_holds_the_program_alone() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in last
    assert last.index("USER ") > last.rindex("\nRUN "), "nothing is installed as another user"
    assert "/healthz" in re.findall(r"HEALTHCHECK(.*\n.*)", last)[0]
    sources = re.findall(r"^COPY (?!--from)(\S+(?: \S+)*) \S+$", DOCKERFILE, re.MULTILINE)
    copied = [name for line in sources for name in line.split()]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name.split("/")[0] for name in copied} == allowed, "the context has what is copied, and nothing else"
    assert not re.search(r"(?:ARG|ENV)[^\n]*(?:KEY|SECRET|PASSWORD|TOKEN)", DOCKERFILE)


def test_compose_shuts_the_containers_in_and_the_units_the_services() -> None:
    for name in PRODUCT:
        service = COMPOSE["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for path in UNITS:
        service = unit(path)["Service"]
        assert (service["User"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("backups", "yes", "strict")
        assert "PrivateTmp" in service
        assert int(service["TimeoutStopSec"].removesuffix("s")) >= 30, "longer than the product takes to hand back"


def test_the_installer_of_client_programs_is_sound_shell() -> None:
    script = ROOT / "deploy" / "install-postgresql-clients"
    assert script.stat().st_mode & 0o111, "it is run by its name"
    assert script.read_text().splitlines()[0] == "#!/bin/sh"
    assert "\nset -eu\n" in script.read_text()
    checked = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_catalogue_is_copied_by_the_guide_s_command_while_it_is_written_to(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy.db"
    home.mkdir()
    catalog = make_catalog(f"sqlite:///{home / 'catalog.db'}")
    catalog.workers.beat("host:1:1", version="0.1.0", now=utc_now())
    (line,) = re.findall(r"`(python3 -c \".*?VACUUM INTO.*?\")`", GUIDE)
    line = line.replace("/var/lib/backups", str(home)).replace("/srv/copy/catalog.db", str(copy))
    subprocess.run(["bash", "-c", line], check=True, timeout=30)
    with closing(sqlite3.connect(copy)) as copied:
        assert copied.execute("SELECT id FROM workers").fetchall() == [("host:1:1",)]
    catalog.close()
