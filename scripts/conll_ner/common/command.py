"""The door of every command: errors end in one line, and no output meets an input.

`@command` reads the roles of a function's parameters from their annotations. A Path is an input
unless it has the marker WRITES; a str is one with the marker READS.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, get_type_hints

from conll_ner.common.console import exit_on_input_error
from conll_ner.common.files import partial_path
from conll_ner.common.overwriting import check_file, check_list, check_outputs, check_replaceable

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Reads:
    """Marks a parameter as an input: a file, a folder, or the name of something else."""


@dataclass(frozen=True)
class Writes:
    """Marks a parameter as an output.

    kind (str): "file"; "folder", which must hold nothing else; "any", where the command itself
        checks what it replaces; "inside" for a folder that keeps its other files, where the command
        also checks that what it writes is no input.
    lists (tuple[str, ...]): Suffixes of the lists that the command writes or deletes beside it.
    """

    kind: Literal["file", "folder", "any", "inside"] = "file"
    lists: tuple[str, ...] = ()


READS, WRITES, WRITES_FOLDER = Reads(), Writes(), Writes("folder")


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate the function of a command: its outputs are checked before it is called, and invalid
    input ends it with one line on stderr and exit code 1."""
    signature = inspect.signature(function)
    roles = find_roles(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        with exit_on_input_error():
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            check_paths(roles, bound.arguments)
            return function(*args, **kwargs)

    return checked


def find_roles(function: Callable[..., Any]) -> dict[str, Reads | Writes]:
    """RETURNS (dict[str, Reads | Writes]): The role of each parameter that is a path."""
    roles: dict[str, Reads | Writes] = {}
    for name, hint in get_type_hints(function, include_extras=True).items():
        markers = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Reads | Writes)]
        if markers:
            (roles[name],) = markers
        elif "Path" in str(getattr(hint, "__origin__", hint)):
            roles[name] = READS
    return roles


def check_paths(roles: dict[str, Reads | Writes], values: dict[str, Any]) -> None:
    """RAISES (InputError): If an output meets an input, or its place is taken."""
    reads: list[Path] = []
    writes: list[Path] = []
    for name, role in roles.items():
        paths = to_paths(values[name])
        if isinstance(role, Reads):
            reads += paths
        elif role.kind != "inside":
            writes += [*paths, *(partial_path(path) for path in paths)]
    if writes:
        check_outputs(reads, writes)
    for name, role in roles.items():
        if isinstance(role, Writes):
            for path in to_paths(values[name]):
                check_place(path, role)


def check_place(path: Path, role: Writes) -> None:
    """RAISES (InputError): If what lies in the place of an output mustn't be replaced."""
    if role.kind == "folder":
        check_replaceable(path)
    elif role.kind == "file":
        check_file(path)
    for suffix in role.lists:
        check_list(path.with_name(f"{path.name}{suffix}"))


def to_paths(value: Any) -> list[Path]:
    """RETURNS (list[Path]): The paths in an argument; none if it is missing, empty or a URI."""
    values = value if isinstance(value, list | tuple) else [value or ""]
    return [Path(each) for each in values if each != "" and "://" not in str(each)]
