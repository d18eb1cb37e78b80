"""The layout: two packages, rooms in layers, commands that nothing imports."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from conll_ner.cli import COMMANDS
from tests.conftest import ROOT
from tests.imports import files_read

SCRIPTS = ROOT / "scripts"
TOOLKIT = SCRIPTS / "conll_ner"
MODULES = sorted(SCRIPTS.rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 350, 50  # lines
# Each room uses only rooms to its left, and token_ner.
LAYERS = (
    *("common", "data", "evaluation", "prediction", "serving", "training", "huggingface"),
    *("packaging", "benchmarking"),
)


def command_file(name: str) -> Path:
    module = COMMANDS[name].place.partition(":")[0]
    return TOOLKIT.joinpath(*module.split(".")).with_suffix(".py")


def imports(path: Path) -> set[Path]:
    """The modules that a module imports, at the top or in a function."""
    found = {p for p in files_read(path, SCRIPTS) if p.suffix == ".py" and p.name != "__init__.py"}
    return found - {path}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_layout_scripts_holds_two_packages_and_no_loose_files() -> None:
    visible = {path.name for path in SCRIPTS.iterdir() if not path.name.startswith(("_", "."))}
    assert {name for name in visible if not name.endswith(".egg-info")} == {
        "conll_ner",
        "token_ner",
    }


def test_layout_every_room_is_a_layer() -> None:
    rooms = {path.parent.name for path in TOOLKIT.glob("*/__init__.py")}
    assert rooms == set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_layout_imports_go_down(path: Path) -> None:
    """Nothing imports a command or a room above its own; the recogniser imports no sibling."""
    used = imports(path)
    assert not used & {command_file(name) for name in COMMANDS}
    if not path.is_relative_to(TOOLKIT):
        assert all(other.is_relative_to(SCRIPTS / "token_ner") for other in used)
        return
    room = path.relative_to(TOOLKIT).parts[0]
    below = LAYERS[: LAYERS.index(room) + 1] if room in LAYERS else LAYERS
    for other in used:
        if other.is_relative_to(TOOLKIT) and other.parent != TOOLKIT:
            assert other.relative_to(TOOLKIT).parts[0] in below, other


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
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("__init__.py")}
    assert all((SCRIPTS / folder).is_dir() for folder in folders)
