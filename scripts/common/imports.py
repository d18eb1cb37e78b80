"""What a script imports, found in its source: every file of scripts/ that a change would reach."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from common.paths import SCRIPTS

FILE_NAME = re.compile(r"[\w-]+(\.\w+)+")
DYNAMIC = {"find_spec", "import_module"}  # functions that take a module's name


@cache
def import_closure(script: Path, root: Path = SCRIPTS) -> frozenset[Path]:
    """Follow the imports of a script within a folder: plain, `from`, relative, in a function or
    at the top, and by name (importlib). A file beside a module, or in the folder itself, that the
    module names in a string, such as a template, counts as imported.

    script (Path): A file in `root`, or in a package there.
    RETURNS (frozenset[Path]): The files, the script included, with the `__init__.py` of packages.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            if path.suffix == ".py":
                waiting += files_read(path, root)
    return frozenset(found)


def files_read(path: Path, root: Path) -> Iterator[Path]:
    """YIELDS (Path): The files that one module imports or names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for module in modules_named(node, path, root):
            yield from find_module(module, root)
        if isinstance(node, ast.Constant) and FILE_NAME.fullmatch(str(node.value)):
            for place in (path.parent / str(node.value), root / str(node.value)):
                if place.is_file():
                    yield place


def modules_named(node: ast.AST, path: Path, root: Path) -> Iterator[str]:
    """YIELDS (str): Dotted names that an import may mean: of `from a import b` both a and a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = path.parent.relative_to(root).parts
        start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
        module = ".".join(filter(None, [start, node.module]))
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args:
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        argument = node.args[0]
        if name in DYNAMIC and isinstance(argument, ast.Constant):
            yield str(argument.value)


def find_module(name: str, root: Path) -> Iterator[Path]:
    """YIELDS (Path): The module's file and the `__init__.py` of its packages, if in `root`."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:i])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path
