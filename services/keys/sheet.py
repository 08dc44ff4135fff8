"""The recovery sheet: what somebody needs who has nothing but paper, the secret key and the storage.

It holds no secret: public keys, addresses, sizes, hashes and commands. Print it anew after each change of keys or
storages; what it says of backups is true on the day that it names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from services.backups.by_hand import restore_commands
from services.catalog.model import Backup, Copy
from services.clock import isoformat
from services.errors import BackupsError
from services.installation import Installation
from services.keys.holders import KeyReport, load_keys
from services.printable import visible_lines
from services.restores.fetch import dumped_by
from services.review.document import Block, Cell, Code, Document, Items, Paragraph, Section, Table
from services.review.pdf import render_pdf
from services.settings.model import DatabaseSettings, Settings
from services.units import format_bytes

_DAY = "%d %b %Y %H:%M UTC"
PAPER = 96
"""Characters of a command that fit on a line of the printed sheet."""
_WORD = re.compile(r"(?:[^\s']+|'[^']*')+")


def make_sheet(installation: Installation) -> Document:
    """Return the sheet of all databases, with the newest proven backup of each."""
    report = load_keys(installation)
    found = [(database, _newest(installation, database)) for database in installation.settings.databases]
    proven = [backup for _, backup in found if backup is not None and backup.proven_at is not None]
    verdict = f"{len(proven)} of {len(found)} databases have a backup here that a restore test proved"
    sample = installation.settings.sample
    return Document(
        title="Recovery sheet",
        subtitle=f"{report.now:{_DAY}}",
        label="Sample data" if sample else "",
        verdict=f"{verdict}. Keep this sheet and a secret key where a fire takes neither with the servers.",
        severity="ok" if len(proven) == len(found) else "warning",
        remark="It holds no secret. To restore, a secret key of the list is needed, and access to one of the storages.",
        sections=(
            Section("keys", "1 · The key", tuple(_keys(report))),
            Section("programs", "2 · The programs", tuple(_programs([backup for _, backup in found]))),
            *(
                Section(
                    f"database-{database.name}",
                    f"{number} · {database.name}",
                    tuple(_database(installation.settings, database, backup)),
                )
                for number, (database, backup) in enumerate(found, start=3)
            ),
            Section("after", f"{len(found) + 3} · Afterwards", tuple(_afterwards(installation))),
        ),
        made=f"Made {isoformat(report.now)}",
    )


def export_sheet(installation: Installation, form: str) -> bytes:
    """Return the sheet as a file: ``pdf`` or ``txt``. Raise BackupsError when a PDF cannot be made."""
    document = make_sheet(installation)
    if form == "pdf":
        return render_pdf(document, {}, installation.clock())
    if form == "txt":
        return render_text(document).encode()
    raise BackupsError(f"There is no form {form!r} of the recovery sheet.", hint="Write pdf or txt.")


def _newest(installation: Installation, database: DatabaseSettings) -> Backup | None:
    """Return the newest proven backup of a database, else the newest good one."""
    backups = installation.catalog.backups
    return backups.latest_proven(database.name) or backups.latest_good(database.name)


def _keys(report: KeyReport) -> Iterator[Block]:
    if not report.holders:
        yield Paragraph("Backups are not encrypted: no key is needed.")
        return
    yield Paragraph("Any one secret key whose public half is in this list. It is one line: AGE-SECRET-KEY-1…")
    yield Table(
        ("Public key", "Which", "Opens", "Last proven"),
        tuple(
            (
                Cell(holder.public_key),
                Cell(holder.name or holder.role, below=holder.role if holder.name else ""),
                Cell(f"{holder.backups:,}"),
                Cell(
                    f"{holder.proven_at:%d %b %Y}" if holder.proven_at else "never",
                    mark="good" if holder.proven_at else "warning",
                ),
            )
            for holder in report.holders
        ),
        right=("Opens",),
        wide=("Public key",),
    )
    yield Paragraph("Put it into a file key.txt that only you can read, and see which one it is:")
    yield Code("chmod 600 key.txt\nage-keygen -y key.txt")


def _programs(backups: list[Backup | None]) -> Iterator[Block]:
    major = max((dumped_by(found) for found in backups if found is not None), default=18)
    yield Paragraph(f"age, zstd, the AWS command line for S3 storages, and pg_restore {major} or newer. On Debian:")
    yield Code(
        "apt-get install --yes age zstd awscli postgresql-common\n"
        "/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y\n"
        f"apt-get install --yes postgresql-client-{major}"
    )
    yield Paragraph("On macOS:")
    yield Code(f"brew install age zstd awscli postgresql@{major}")
    yield Paragraph("The server to restore into, as its owner or a superuser; the password goes into ~/.pgpass:")
    yield Code("export PGHOST=… PGPORT=5432 PGUSER=…")


def _database(settings: Settings, database: DatabaseSettings, backup: Backup | None) -> Iterator[Block]:
    if backup is None:
        yield Paragraph("There is no good backup yet.")
        return
    proven = f"proven by a restore test on {backup.proven_at:{_DAY}}" if backup.proven_at else ""
    there = [copy for copy in backup.copies if copy.state == "stored"]
    rows = [
        ("Backup", backup.name),
        ("Holds the data of", f"{backup.snapshot_at:{_DAY}}"),
        ("State", proven or "not proven: no restore test passed"),
        ("Size", f"{format_bytes(backup.stored_bytes)}; restored {format_bytes(backup.database_bytes)}"),
        ("Made from", f"PostgreSQL {backup.server_version}"),
        ("Encrypted to", ", ".join(backup.recipients) or "nothing: it is not encrypted"),
        *((f"In {copy.storage}", f"{copy.location} ({copy.storage_class})") for copy in there),
    ]
    head = "The newest proven backup" if proven else "The newest good backup"
    yield Table(("", head), tuple((Cell(name), Cell(value)) for name, value in rows), wide=(head,))
    if not there:
        yield Paragraph("No copy of it is stored any more.")
        return
    for number, copy in enumerate(_readable_first(there)):
        if number:
            yield Paragraph(f"Or from {copy.storage}, in the place of the first two commands:")
            yield Code(_commands(settings, backup, copy).partition("createdb ")[0].rstrip())
        else:
            yield Paragraph(f"From {copy.storage}, in bash:")
            yield Code(_commands(settings, backup, copy))
    if database.pitr.enabled:
        where = settings.pitr_storage_of(database).url
        yield Paragraph(
            f"For a restore to a moment, its write-ahead log lies in {where}/{database.name}/, base backups beside it. "
            f"`backups pitr restore {database.name} --to TIME --into FOLDER` does it; docs/point-in-time.md says how "
            "without this product."
        )


def _readable_first(copies: list[Copy]) -> list[Copy]:
    return sorted(copies, key=lambda copy: copy.storage_class != "STANDARD")


def _commands(settings: Settings, backup: Backup, copy: Copy) -> str:
    """Return the commands as they can be typed from paper: no line is broken but where a backslash says so."""
    endpoint = next((s.endpoint_url for s in settings.storages if s.name == copy.storage), None)
    file = copy.key.rsplit("/", 1)[-1]
    lines = []
    for line in restore_commands(backup, copy, endpoint_url=_without_login(endpoint)).splitlines():
        if line.startswith("#"):
            continue  # the table above says it
        if line.endswith("sha256sum --check"):
            line = f"printf '%s  %s\\n' {backup.sha256} {shlex.quote(file)} | sha256sum --check"
        lines += _folded(line)
    return "\n".join(lines)


def _folded(line: str) -> list[str]:
    """Return a command in lines that fit on paper; a word in quotes is never cut."""
    if len(line) <= PAPER:
        return [line]
    folded, rest = [], ""
    for word in _WORD.findall(line):
        if rest and len(rest) + len(word) + 3 > PAPER:
            folded.append(f"{rest} \\")
            rest = f"    {word}"
        else:
            rest = f"{rest} {word}" if rest else word
    return [*folded, rest]


def _without_login(url: str | None) -> str | None:
    """Return an address without what stands before its @: paper is copied."""
    if url is None or "@" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _afterwards(installation: Installation) -> Iterator[Block]:
    yield Paragraph("This product itself: its settings are in a file or the environment; its catalogue comes back.")
    yield Paragraph("Install it; give it the settings, the secret key, and the storages' credentials anew. Then:")
    yield Code(
        "backups rebuild        # every backup, verification and pin, from the storages\n"
        "backups doctor         # what is still missing\n"
        "backups restore-test   # proves the newest backup again"
    )
    where = [(one, _without_login(one.endpoint_url)) for one in installation.settings.storages]
    rows = tuple((Cell(one.name), Cell(one.url + (f" at {endpoint}" if endpoint else ""))) for one, endpoint in where)
    yield Table(("Storage", "Where"), rows, wide=("Where",))


def render_text(document: Document) -> str:
    """Return a document as plain text that prints on any printer, ending with a line break."""
    lines = [document.title.upper(), document.subtitle, *([document.label] if document.label else [])]
    lines += ["", document.verdict, document.remark]
    for section in document.sections:
        lines += ["", "", section.title, "-" * len(section.title)]
        for block in section.blocks:
            lines += ["", *_text_of(block)]
    lines += ["", "", document.made]
    return visible_lines("\n".join(lines)) + "\n"


def _text_of(block: Block) -> list[str]:
    match block:
        case Code():
            return [f"    {line}" for line in block.text.split("\n")]
        case Table():
            return [line for row in block.rows for line in _row_text(block.columns, row)]
        case Items():
            return [f"- {item.text}" for item in block.items]
        case Paragraph():
            return [block.text]
        case _:
            raise AssertionError("a recovery sheet has neither charts nor quotes")


def _row_text(columns: tuple[str, ...], row: tuple[Cell, ...]) -> list[str]:
    if columns[0] == "":  # facts: a name and its value
        return [f"{row[0].text}: {row[1].text}"]
    said = [cell.text + (f" ({cell.below})" if cell.below else "") for cell in row]
    cells = [f"{column}: {text}" for column, text in zip(columns, said, strict=True)]
    return [f"* {cells[0]}", *(f"  {cell}" for cell in cells[1:])]
