"""The layout: a file in scripts/ is a command, a folder is a library; no import of a command."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.imports import files_read

SCRIPTS = ROOT / "scripts"
COMMANDS = sorted(SCRIPTS.glob("*.py"))
MODULES = sorted(SCRIPTS.rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 350, 50  # lines


def imports(path: Path) -> set[Path]:
    """The modules that a module imports, at the top or in a function."""
    found = {p for p in files_read(path, SCRIPTS) if p.suffix == ".py" and p.name != "__init__.py"}
    return found - {path}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_layout_nothing_imports_a_command(path: Path) -> None:
    # These start commands as processes, by their file names.
    started = {"service_load.py": {"serve.py"}, "curve.py": {"train.py", "evaluate.py"}}
    found = {other.name for other in imports(path) & set(COMMANDS)}
    assert found <= started.get(path.name, set())


def test_layout_every_command_runs_by_itself() -> None:
    for path in COMMANDS:
        assert '__name__ == "__main__"' in path.read_text(encoding="utf-8"), path.name


def test_layout_the_recogniser_imports_no_sibling() -> None:
    """It travels alone: in wheels, and by `pip install .`."""
    own = SCRIPTS / "token_ner"
    for path in own.rglob("*.py"):
        assert all(other.is_relative_to(own) for other in imports(path)), path.name


def test_layout_has_no_import_cycle() -> None:
    TopologicalSorter({path: imports(path) for path in MODULES}).prepare()  # raises CycleError


def test_layout_files_and_functions_are_short() -> None:
    for path in (*MODULES, *(ROOT / "tests").rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_FILE, f"{path.name}: {lines} lines"
    for path in MODULES:
        for node in functions(path):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            # A command's signature is its options: only the body counts.
            signature = node.body[0].lineno - node.lineno
            length -= signature if node.name in ("main", "run") else 0
            assert length <= MAX_FUNCTION, f"{path.name}:{node.name}: {length} lines"


def test_layout_tests_mirror_scripts() -> None:
    """A folder of tests is a folder of scripts."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= {path.name for path in SCRIPTS.iterdir() if path.is_dir()}
