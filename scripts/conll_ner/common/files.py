"""Writing that loses nothing: to a temporary path first, then renamed."""

import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from conll_ner.common.console import InputError
from conll_ner.common.overwriting import add_mark, check_file, check_replaceable

# A temporary folder has this file, which is locked while its process lives, and then has the text.
LOCK = ".conll-ner.lock"
RANDOM = "[a-z0-9_]" * 8  # how tempfile ends names
LOCK_TEXT = "This folder is temporary: conll-ner deletes it once its process has ended.\n"


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` if the block succeeds.

    target (Path): The file or folder to write; of a symlink, what it points to. Missing parents
        are created.
    YIELDS (Path): A path that doesn't exist yet: write a file there, or create a folder.
    RAISES (InputError): If `target` is a folder that must not be replaced.
    """
    target = target.resolve()
    make_parent(target)
    remove_leftovers(target)
    with temporary_folder(target) as folder:
        temporary = folder / target.name
        yield temporary
        if temporary.is_dir():
            replace_folder(temporary, target)
        else:
            check_file(target)
            temporary.replace(target)


def write_json(target: Path, value: Any) -> None:
    """Write a value as JSON, as atomic_write does."""
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def append_lines(target: Path, lines: Iterable[str]) -> None:
    """Append lines to a file, or create it, and wait until they are on the disk. After a kill or on
    a full disk, an earlier line can lack its end: the new ones begin on lines of their own. An
    unpaired surrogate, which isn't valid Unicode, becomes a question mark."""
    make_parent(target)
    data = "".join(f"{line}\n" for line in lines).encode(errors="replace")
    with target.open("ab+", buffering=0) as file:  # one write: a kill can't divide it
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            data = data if file.read(1) == b"\n" else b"\n" + data
        if file.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        os.fsync(file.fileno())


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The object in a JSON file.
    RAISES (InputError): If there is no such file, or it isn't a JSON object. hint: what to do then,
        for the message."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {hint}") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; {hint}")
    return content


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """YIELDS (Path): A folder beside the target, locked until it is deleted."""
    while True:
        with (
            # Another run may delete the folder too, as soon as the lock is released.
            tempfile.TemporaryDirectory(
                dir=target.parent, prefix=f".{target.name}-", ignore_cleanup_errors=True
            ) as folder,
            FileLock(Path(folder) / LOCK),
        ):
            try:
                (Path(folder) / LOCK).write_text(LOCK_TEXT, encoding="utf-8")
            except FileNotFoundError:  # another run deleted it before it was locked
                continue
            yield Path(folder)
            return


def remove_leftovers(target: Path) -> None:
    """Delete the temporary folders that killed processes left when they wrote `target`: those with
    a lock that is free, and empty ones, from a kill before the lock or after it."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}-{RANDOM}"):
        path = folder / LOCK
        with suppress(OSError, Timeout):  # not ours, deleted meanwhile, or in use
            is_empty = {file.name for file in folder.iterdir()} <= {LOCK}
            if is_empty or path.stat().st_size > 0:
                with FileLock(path, timeout=0):
                    shutil.rmtree(folder)


def delete_output(target: Path) -> None:
    """Delete a file that an earlier run wrote, and what a killed run left of it."""
    remove_leftovers(target.resolve())
    target.unlink(missing_ok=True)


def make_parent(target: Path) -> None:
    """Create the folder of an output.

    RAISES (InputError): If there is a file in its place.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{target}: {target.parent} is not a folder") from None


def fresh_folder(folder: Path) -> None:
    """Create an empty folder to fill, in place of one that an earlier run left. It is marked, so
    that the next run may replace it; `add_mark` marks it again once it is complete.

    RAISES (InputError): If the folder must not be replaced.
    """
    folder = folder.resolve()
    check_replaceable(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    add_mark(folder, complete=False)


def replace_folder(new: Path, target: Path) -> None:
    """Mark a folder and rename it to `target`. What was there is renamed first and deleted last, so
    that a kill at any moment leaves one of the two complete; `finish_replacement` does the rest.

    RAISES (InputError): If `target` must not be replaced.
    """
    target = target.resolve()
    finish_replacement(target)
    check_replaceable(target)
    add_mark(new)
    if target.exists():
        target.rename(old_folder(target))
    new.rename(target)
    shutil.rmtree(old_folder(target), ignore_errors=True)


def finish_replacement(target: Path) -> None:
    """Restore or delete the old folder that a killed `replace_folder` left."""
    target = target.resolve()
    old = old_folder(target)
    if not old.is_dir():
        return
    if target.exists():
        shutil.rmtree(old)
    else:
        old.rename(target)


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Keep other runs from writing the same output. The operating system releases the lock of a
    killed process.

    RAISES (InputError): If another run is writing it.
    """
    target = target.resolve()
    make_parent(target)
    path = target.with_name(f".{target.name}.lock")
    try:
        with FileLock(path, timeout=0):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    except Timeout:
        raise InputError(f"{target} is being written by another run; wait for it") from None


def partial_path(target: Path) -> Path:
    """RETURNS (Path): The folder of an output's unfinished work, OUTPUT.partial."""
    return target.parent / f"{target.name}.partial"  # with_name would fail on "."


def old_folder(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def sha256(path: Path) -> str:
    """RETURNS (str): The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
