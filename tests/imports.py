"""Find the files of scripts/ that a script imports, by parsing its source."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FILE_NAME = re.compile(r"[\w-]+(\.\w+)+")
SCRIPTS = Path(__file__).parents[1] / "scripts"
DYNAMIC = {"find_spec", "import_module"}  # functions that take a module's name


@cache
def import_closure(script: Path, root: Path = SCRIPTS) -> frozenset[Path]:
    """Find all files in a folder that a script imports, directly or indirectly.

    Covers plain, `from`, relative, lazy and dynamic (importlib) imports. A file that a module names
    in a string, such as a template, counts too if it is next to the module or in `root`.

    script (Path): A file in `root` or in one of its packages.
    RETURNS (frozenset[Path]): The files, including the script and the packages' `__init__.py`.
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
    """YIELDS (Path): The files that a module imports directly or names in a string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for module in modules_named(node, path, root):
            yield from find_module(module, root)
        if isinstance(node, ast.Constant) and FILE_NAME.fullmatch(str(node.value)):
            for place in (path.parent / str(node.value), root / str(node.value)):
                if place.is_file():
                    yield place


def modules_named(node: ast.AST, path: Path, root: Path) -> Iterator[str]:
    """YIELDS (str): Modules that an import may refer to: `from a import b` gives a and a.b."""
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
    """YIELDS (Path): The module's file and its packages' `__init__.py`, if they are in `root`."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:i])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path
