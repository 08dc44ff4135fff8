"""Every program that the product starts: from a list, never through a shell, never from one text put together."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output"},
    "": {"run_child"},  # of ours; what it passes on is looked at where it does
}
THROUGH_A_SHELL = {
    "subprocess": {"getoutput", "getstatusoutput"},
    "os": {"system", "popen"},
    "asyncio": {"create_subprocess_shell"},
    "pty": {"spawn"},
    "commands": {"getoutput"},
}
REPLACES = {"os": {"execve", "execv", "execvp", "execvpe", "execl", "execle", "execlp", "spawnv", "posix_spawn"}}
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "/bin/sh", "/bin/bash", "cmd", "powershell"}
Call = tuple[Path, ast.Call, str]


@cache
def nodes() -> dict[Path, list[ast.AST]]:
    """Return every node of the product's code that may start a program, by file."""
    wanted = (ast.Call, ast.Assign, ast.Import, ast.ImportFrom)
    return {
        path: [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, wanted)]
        for folder in ("services", "dashboard", "pages")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def calls() -> Iterator[Call]:
    """Yield each call that is by a name, with it as it is written: ``subprocess.run``."""
    for path, found in nodes().items():
        for node in found:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield path, node, node.func.id
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                yield path, node, f"{owner.id}.{node.func.attr}" if isinstance(owner, ast.Name) else node.func.attr


def named(table: dict[str, set[str]]) -> set[str]:
    return {f"{module}.{name}".lstrip(".") for module, names in table.items() for name in names}


def is_one_text(command: ast.expr) -> bool:
    """Say whether an expression is a text, put together or not, rather than a list of words."""
    match command:
        case ast.Constant(value=str() | bytes()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, right=right, op=ast.Add() | ast.Mod()):
            return is_one_text(left) or is_one_text(right)
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "quote" | "encode")):
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return is_one_text(body) or is_one_text(orelse)
    return False


def words_of(path: Path, call: ast.Call) -> ast.expr:
    """Return the command of a call; where it is a name, what the file assigns to it."""
    command = call.args[0] if call.args else next(word.value for word in call.keywords if word.arg == "args")
    if isinstance(command, ast.Name):
        found = [
            node.value
            for node in nodes()[path]
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == command.id for target in node.targets)
        ]
        assert not any(is_one_text(value) for value in found), (path, ast.unparse(command))
        return found[0] if found else command
    return command


def test_no_program_is_started_through_a_shell_or_from_one_text() -> None:
    started = [(path, call) for path, call, name in calls() if name in named(STARTS)]
    assert len(started) >= 15, "the search finds them"
    for path, call in started:
        where = f"{path.relative_to(ROOT)}:{call.lineno}"
        shell = [word.value for word in call.keywords if word.arg in ("shell", "executable")]
        assert shell == [], where
        command = words_of(path, call)
        assert not is_one_text(command), where
        if isinstance(command, ast.List | ast.Tuple) and isinstance(command.elts[0], ast.Constant):
            assert command.elts[0].value not in SHELLS, where


def test_nothing_that_starts_a_shell_by_its_nature_is_called() -> None:
    assert [(path, call.lineno) for path, call, name in calls() if name in named(THROUGH_A_SHELL)] == []
    replaced = [(path.name, name) for path, _, name in calls() if name in named(REPLACES)]
    assert replaced == [("serve.py", "os.execve")], "the dashboard, from the list of dashboard_command"


def test_modules_that_start_programs_are_imported_by_their_names() -> None:
    """What is imported as something else, or out of its module, would pass unseen above."""
    alone = {*STARTS["subprocess"], *THROUGH_A_SHELL["os"], *THROUGH_A_SHELL["subprocess"], *REPLACES["os"]}
    for path, found in nodes().items():
        for node in found:
            if isinstance(node, ast.Import):
                assert not any(alias.asname and alias.name in ("subprocess", "os") for alias in node.names), path
            elif isinstance(node, ast.ImportFrom) and node.module in ("subprocess", "os", "asyncio.subprocess"):
                assert not {alias.name for alias in node.names} & alone, path


def test_the_search_tells_a_text_from_a_list() -> None:
    def told(text: str) -> bool:
        return is_one_text(ast.parse(text, mode="eval").body)

    assert all(map(told, ("'ls -l'", "f'ls {x}'", "'ls ' + x", "'ls %s' % x", "' '.join(words)", "'ls {}'.format(x)")))
    assert not any(map(told, ("['ls', x]", "[program, *words]", "(*prefix, name)", "build(x)", "[a] + [b]")))
