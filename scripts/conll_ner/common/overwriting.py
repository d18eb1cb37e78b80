"""What an output may replace: nothing that the command reads, and nothing that others wrote.

A folder is replaced as a whole only if this project wrote it, which a file named MARK in it shows,
or if it is empty. MARK lists the files; while a run is still writing them, it has no list.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from conll_ner.common.console import InputError, shorten

MARK = ".conll-ner"
MARK_TEXT = "This folder was written by conll-ner, which replaces it as a whole. Its files:\n"
LEFT_BY_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}
SHOWN = 5  # files that a message names


def check_outputs(reads: Iterable[Path], writes: Iterable[Path]) -> None:
    """RAISES (InputError): If an output is an input, contains one or lies in one, or is written
    twice. Links are followed."""
    inputs = {real: path for path in reads for real in real_paths(path)}
    seen: set[Path] = set()
    for output in writes:
        target = output.resolve()
        if target in seen:
            raise InputError(f"{output} is the place of two outputs; choose another for one")
        seen.add(target)
        for real, path in inputs.items():
            if target == real or (target.exists() and real.samefile(target)):
                what = "is also an input"
            elif real.is_relative_to(target):
                what = f"contains the input {path}"
            elif target.is_relative_to(real):
                what = f"is in the input {path}"
            else:
                continue
            raise InputError(f"{output} {what}; choose another output")


def real_paths(path: Path) -> Iterator[Path]:
    """YIELDS (Path): Where an input that exists is, and where links in its folder lead to."""
    if path.exists():
        yield path.resolve()
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                link = Path(folder) / name
                if link.is_symlink() and link.exists():
                    yield link.resolve()


def check_file(target: Path) -> None:
    """RAISES (InputError): If there is a folder in the place of a file."""
    if target.is_dir():
        raise InputError(f"{target} is a folder, and the output is a file; choose another name")


def check_replaceable(target: Path) -> None:
    """RAISES (InputError): If there is a file, or a folder with files that this project didn't
    write, in the place of a folder."""
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError(f"{target} is a file, and the output is a folder; choose another name")
    names = sorted(foreign_files(target))
    if names:
        listed = ", ".join(map(shorten, names[:SHOWN])) + ", …" * (len(names) > SHOWN)
        raise InputError(
            f"{target} contains files that this project didn't write ({listed}); choose another "
            "output, or move them away"
        )


def check_list(target: Path) -> None:
    """RAISES (InputError): If a file that isn't a list of rejected records or of issues lies in the
    place of one, which is beside an output and isn't named by the user."""
    try:
        with target.open(encoding="utf-8") as file:
            is_ours = "reason" in json.loads(file.readline())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, TypeError):
        is_ours = False
    if not is_ours:
        raise InputError(
            f"{target} is the place of a list that this command writes, but not such a list; move "
            "it away, or choose another output"
        )


def add_mark(folder: Path, *, complete: bool = True) -> None:
    """Mark a folder as written by this project: with the files that are in it, or without a list if
    it isn't complete yet."""
    names = [*list_files(folder), MARK] if complete else []
    (folder / MARK).write_text(
        MARK_TEXT + "".join(f"{json.dumps(name)}\n" for name in names), encoding="utf-8"
    )


def list_files(folder: Path) -> Iterator[str]:
    """YIELDS (str): All files and links in a folder, relative to it, but for marks."""
    for path in folder.rglob("*"):
        is_file = path.is_symlink() or not path.is_dir()
        if is_file and path.name not in (MARK, *LEFT_BY_DESKTOPS):
            yield path.relative_to(folder).as_posix()


def foreign_files(folder: Path) -> set[str]:
    """RETURNS (set[str]): What is in a folder and neither in its mark's list nor in that of a
    marked folder in it; everything in a folder without a mark."""
    if not (folder / MARK).is_file():
        return {path.name for path in folder.iterdir()} - LEFT_BY_DESKTOPS
    found = set(list_files(folder))
    for mark in folder.rglob(MARK):
        prefix = "" if mark.parent == folder else f"{mark.parent.relative_to(folder).as_posix()}/"
        names = read_mark(mark)
        found -= {name for name in found if name.startswith(prefix) and names is None}
        found -= {f"{prefix}{name}" for name in names or ()}
    return found


def read_mark(mark: Path) -> list[str] | None:
    """RETURNS (list[str] | None): The files that a mark lists, none if it is damaged; None if the
    folder wasn't complete."""
    lines = mark.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    try:
        return [str(json.loads(line)) for line in lines] if lines else None
    except ValueError:
        return []
