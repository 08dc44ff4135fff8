"""The project itself: what is locked, what is licensed, what the tools are told to refuse."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def _locked(name: str) -> dict[str, list[tuple[Version, int]]]:
    """Given a lock file, return name -> [(version, count of hashes)]; a name may have one version per Python."""
    found: dict[str, list[tuple[Version, int]]] = {}
    text = (ROOT / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split("--hash=")
            parsed = Requirement(requirement.strip())
            (pin,) = parsed.specifier
            assert pin.operator == "==", line
            found.setdefault(canonicalize_name(parsed.name), []).append((Version(pin.version), len(hashes)))
    return found


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash_and_no_address(lock: str) -> None:
    versions = _locked(lock)
    assert len(versions) > 50
    assert [name for name, pins in versions.items() if any(count == 0 for _, count in pins)] == []
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://|file:|--(index|extra-index|find-links|trusted)|@ ", text)


def test_everything_that_pyproject_asks_for_is_locked_within_its_range() -> None:
    project = _pyproject()
    wanted = {
        "requirements.lock": [*project["project"]["dependencies"], *project["dependency-groups"]["build"]],
        "requirements-dev.lock": project["dependency-groups"]["dev"],
    }
    for lock, requirements in wanted.items():
        locked = _locked(lock)
        for requirement in map(Requirement, requirements):
            pins = locked[canonicalize_name(requirement.name)]
            assert all(requirement.specifier.contains(version) for version, _ in pins), (lock, requirement, pins)


def test_the_build_back_end_is_locked_too() -> None:
    (requires,) = _pyproject()["build-system"]["requires"]
    assert canonicalize_name(Requirement(requires).name) in _locked("requirements.lock")


def test_the_tests_run_on_the_versions_that_are_installed_for_use() -> None:
    development = _locked("requirements-dev.lock")
    for name, pins in _locked("requirements.lock").items():
        assert {v for v, _ in pins} <= {v for v, _ in development[name]}, name


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_there_is_no_pages_folder_beside_the_entry_point() -> None:
    """Streamlit 1.67 serves such a folder without running the entry point, and so without its guard."""
    assert not (ROOT / "dashboard" / "pages").exists()


def test_no_file_of_the_repository_holds_a_secret_key() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert len(files) > 500
    secret = re.compile(rb"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}|-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}")
    assert [path.name for path in files if path.exists() and secret.search(path.read_bytes().upper())] == []


def test_the_integration_script_is_valid_and_executable() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0


def _pytest(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_planted.py").write_text(f"import pytest\n{body}")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.support.no_skips",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            folder,
            folder,
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    "body",
    [
        "@pytest.mark.skip(reason='no such program')\ndef test_one(): pass\n",
        "def test_one(): pytest.skip('no such program')\n",
        "pytest.skip('no such program', allow_module_level=True)\n",
        "@pytest.mark.xfail(reason='no such program')\ndef test_one(): assert False\n",
        "@pytest.mark.xfail(reason='no such program')\ndef test_one(): pass\n",
        "@pytest.fixture\ndef server(): pytest.skip('no such program')\ndef test_one(server): pass\n",
    ],
)
def test_a_skipped_test_fails_where_everything_is_installed(tmp_path: Path, body: str) -> None:
    run = _pytest(tmp_path, body + "def test_two(): pass\n" if "allow_module" not in body else body)
    assert run.returncode != 0, run.stdout
    assert "no such program" in run.stdout
    assert "which is a failure here" in run.stdout


def test_tests_that_all_run_pass_where_everything_is_installed(tmp_path: Path) -> None:
    run = _pytest(tmp_path, "def test_one(): pass\n")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("services/units.py", "import streamlit"),
        ("services/units.py", "import dashboard"),
        ("services/commands/upkeep.py", "import services.cli"),
        ("dashboard/__init__.py", "import psycopg"),
        ("dashboard/__init__.py", "import subprocess"),
    ],
)
def test_an_import_in_the_wrong_direction_is_refused(tmp_path: Path, module: str, line: str) -> None:
    for part in ("services", "dashboard", "pages"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode != 0, run.stdout + run.stderr
    assert f"-> {line.removeprefix('import ')}" in run.stdout


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), (document.name, target)


def test_every_command_that_the_readme_names_exists() -> None:
    from services.cli.main import app

    known = {info.name or (info.callback.__name__ if info.callback else "") for info in app.registered_commands}
    groups = [(group.name, group.typer_instance.info.name) for group in app.registered_groups if group.typer_instance]
    known |= {name for names in groups for name in names if isinstance(name, str)}
    named = set(re.findall(r"(?:`|^|/|\()backups ([a-z][a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert len(named) >= 8
    assert named <= known
    assert {
        "create", "list", "preflight", "verify", "restore-test", "restore", "compare", "storage", "log", "rebuild",
        "doctor", "keygen", "encrypt", "decrypt", "adopt", "janitor", "serve", "worker", "dashboard", "migrate",
        "simulate", "cleanup", "delete", "pin", "unpin",
    } <= known  # fmt: skip


def test_the_settings_page_names_every_setting_and_no_other() -> None:
    from services.settings import model
    from services.settings.environment import Environment

    text = (ROOT / "docs" / "settings.md").read_text()
    rows = {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    variables = set(Environment.model_fields)
    assert variables <= set(re.findall(r"`(\w+)`", text))
    sections = (
        *(model.Settings, model.StorageSettings, model.DatabaseSettings, model.AlertSettings),
        *(model.RetentionSettings, model.PitrSettings, model.AccessSettings, model.WebSettings),
    )
    fields = {name for section in sections for name in section.model_fields}
    not_set_by_people = {"sample", "databases", "storages", "alerts", "access", "retention", "pitr", "web"}
    assert rows >= fields - not_set_by_people
    assert rows <= fields | variables | {"BACKUP_OPENSSL_PASSPHRASE"}


def test_the_example_of_the_settings_page_is_accepted(tmp_path: Path) -> None:
    from services import serve
    from services.errors import InputError
    from services.settings.access import AccessSettings
    from services.settings.load import load_settings

    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "settings.md").read_text(), re.DOTALL)
    (tmp_path / "backups.toml").write_text(example)
    settings = load_settings({"BACKUPS_CONFIG": str(tmp_path / "backups.toml")})
    assert settings is not None
    assert [database.name for database in settings.databases] == ["la_factoria", "billing"]
    serve.refuse_hosts(serve.hosts_of(settings), settings.access)
    with pytest.raises(InputError, match=r"backups\.lafactoria\.com"):
        serve.refuse_hosts(serve.hosts_of(settings), AccessSettings())
