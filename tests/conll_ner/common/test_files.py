"""Atomic writes and hashes of files."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from conll_ner.common.console import InputError
from conll_ner.common.files import (
    LOCK,
    append_lines,
    atomic_write,
    delete_output,
    finish_replacement,
    fresh_folder,
    lock,
    read_json,
    replace_folder,
    sha256,
    write_json,
)
from conll_ner.common.overwriting import MARK


def test_atomic_write_replaces_a_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with atomic_write(target) as temporary:
            temporary.write_text(text)
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(target: Path, *files: str) -> None:
    with atomic_write(target) as temporary:
        temporary.mkdir()
        for name in files:
            (temporary / name).touch()


def test_atomic_write_replaces_a_folder_that_it_wrote(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", "old")
    write_folder(tmp_path / "folder", "new")
    assert names(tmp_path / "folder") == [MARK, "new"]
    assert names(tmp_path) == ["folder"]


def test_atomic_write_replaces_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_folder(tmp_path / "folder", "new")
    assert names(tmp_path / "folder") == [MARK, "new"]


@pytest.mark.parametrize("is_link", [False, True])
def test_folders_of_others_are_never_replaced(tmp_path: Path, is_link: bool) -> None:
    target = theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    if is_link:
        target = tmp_path / "link"
        target.symlink_to(theirs)
    with pytest.raises(InputError, match="contains files that this project didn't write"):
        write_folder(target, "new")
    with pytest.raises(InputError, match="contains files that this project didn't write"):
        fresh_folder(target)
    refused = pytest.raises(InputError, match="is a folder, and the output is a file")
    with refused, atomic_write(target) as temporary:
        temporary.write_text("new")
    assert (theirs / "thesis.txt").read_text() == "years of work"
    assert names(theirs) == ["thesis.txt"]
    assert len(names(tmp_path)) == 1 + is_link  # no leftovers


def test_a_file_is_never_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    for write in (lambda: write_folder(tmp_path / "file"), lambda: fresh_folder(tmp_path / "file")):
        with pytest.raises(InputError, match="is a file, and the output is a folder"):
            write()
    assert (tmp_path / "file").read_text() == "theirs"


def test_a_symlink_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "real.txt"
    real.parent.mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_folder_behind_a_symlink_is_created_again(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "real")
    for _ in range(2):  # the link points to nothing, then to a folder of ours
        fresh_folder(link)
        (link / "file").touch()
    assert link.is_symlink()
    assert names(tmp_path / "disk" / "real") == [MARK, "file"]


@pytest.mark.parametrize("kill_at", range(4))
def test_a_killed_replacement_loses_nothing(
    kill_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after each of the renames and the deletion."""
    new, target = tmp_path / "new", tmp_path / "target"
    for folder in (new, target):
        fresh_folder(folder)
        (folder / "file").write_text(folder.name)
    steps = 0

    def killed(function: Any) -> Any:
        def step(*arguments: Any, **settings: Any) -> Any:
            nonlocal steps
            if steps == kill_at:
                raise KeyboardInterrupt
            steps += 1
            return function(*arguments, **settings)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed(Path.rename))
        patched.setattr(shutil, "rmtree", killed(shutil.rmtree))
        with suppress(KeyboardInterrupt):
            replace_folder(new, target)
    finish_replacement(target)
    found = {p.parent.name: p.read_text() for p in tmp_path.glob("*/file")}
    assert found["target"] == ("target" if kill_at < 2 else "new")
    assert "new" in found.values()  # in its own place or in the target's
    replace_folder(new, target) if new.exists() else None
    assert (target / "file").read_text() == "new"
    assert names(tmp_path) == ["target"]


def test_atomic_write_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="No space left"), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_an_output_is_locked_while_it_is_written(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with lock(target):
        with (
            pytest.raises(InputError, match=r"out\.jsonl is being written by another run"),
            lock(target),
        ):
            pass
        with lock(tmp_path / "other.jsonl"):
            pass
    with pytest.raises(RuntimeError), lock(target):
        raise RuntimeError
    with lock(target):  # released
        pass
    assert names(tmp_path) == []


CODE = """\
import sys
from pathlib import Path
from conll_ner.common.files import atomic_write, lock
with {function}(Path(sys.argv[1])) as temporary:
    if temporary:
        temporary.write_text("half")
    print("in the block", flush=True)
    sys.stdin.read()
    if temporary:
        temporary.write_text("of another process")
"""


@contextmanager
def process_in(function: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the block of `lock` or `atomic_write`. It leaves the block when its standard
    input ends."""
    command = [sys.executable, "-c", CODE.format(function=function), str(target)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the block\n"
        yield process


def test_the_lock_of_a_killed_run_is_released(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with process_in("lock", target) as process:
        with pytest.raises(InputError, match="another run"), lock(target):
            pass
        process.kill()
    with lock(target):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["out.jsonl", "[a-z]*"])
def test_what_a_killed_run_left_is_deleted_by_the_next(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    for _ in range(2):
        with process_in("atomic_write", target) as process:
            process.kill()
    assert len(names(tmp_path)) == 1  # the second run deleted what the first one left
    with atomic_write(target) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == [name]
    with process_in("atomic_write", target) as process:
        process.kill()
    delete_output(target)
    assert names(tmp_path) == []


@pytest.mark.parametrize("left", [[], [LOCK]])
def test_a_folder_from_a_kill_before_the_lock_is_deleted(left: list[str], tmp_path: Path) -> None:
    folder = tmp_path / ".out.txt-abc_1234"
    folder.mkdir()
    for name in left:
        (folder / name).touch()
    with atomic_write(tmp_path / "out.txt") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["out.txt"]


def test_a_folder_that_another_run_deletes_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = FileLock.acquire
    stolen: list[Path] = []

    def steal(lock: FileLock, *arguments: Any, **options: Any) -> Any:
        acquired = acquire(lock, *arguments, **options)
        if not stolen:
            stolen.append(Path(lock.lock_file).parent)
            shutil.rmtree(stolen[0])
        return acquired

    monkeypatch.setattr(FileLock, "acquire", steal)
    with atomic_write(tmp_path / "out.txt") as temporary:
        temporary.write_text("new")
    assert len(stolen) == 1
    assert names(tmp_path) == ["out.txt"]


def test_what_a_living_run_writes_is_kept(tmp_path: Path) -> None:
    """It may write the same output, or one whose name continues this one's."""
    target, other = tmp_path / "out", tmp_path / "out-2"
    with process_in("atomic_write", target) as one, process_in("atomic_write", other) as two:
        with atomic_write(target) as temporary:
            temporary.write_text("new")
        assert target.read_text() == "new"
        assert len(names(tmp_path)) == 3
        for process in (one, two):
            process.communicate("")
            assert process.returncode == 0
    assert names(tmp_path) == ["out", "out-2"]
    assert target.read_text() == "of another process"


def test_files_of_others_with_similar_names_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "out"
    (tmp_path / ".out-abcdefgh").write_text("theirs")
    (tmp_path / ".out-20240101").mkdir()
    (tmp_path / ".out-20240101" / "out").write_text("theirs")
    write_folder(tmp_path / ".out-v2", "model")  # an output of ours
    before = sorted(tmp_path.rglob("*"))
    with atomic_write(target) as temporary:
        temporary.write_text("new")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, target])


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    value = {"f1": 0.9, "types": ["PER", None], "name": "Zürich"}
    write_json(tmp_path / "new" / "a.json", value)
    assert read_json(tmp_path / "new" / "a.json", "") == value


def test_read_json_errors_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match=r"a\.json: no such file; write it$"):
        read_json(path, "write it")
    for content in (b"{", b"[]", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.json: not a JSON object; write it$"):
            read_json(path, "write it")


def test_sha256_matches_the_published_test_vector(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_append_lines_begin_on_lines_of_their_own(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "lines.txt"
    append_lines(target, ())
    assert target.read_text() == ""
    append_lines(target, ["Zoë", "two"])
    target.write_text(f"{target.read_text()}torn")
    append_lines(target, ["three", "\ud83d"])
    append_lines(target, ["four"])
    assert target.read_text().splitlines() == ["Zoë", "two", "torn", "three", "?", "four"]


def test_append_lines_are_whole_after_a_kill(tmp_path: Path) -> None:
    """Also if the file is moved meanwhile, as by a user who begins a new one."""
    target = tmp_path / "lines.txt"
    program = (
        "import sys; from pathlib import Path; from conll_ner.common.files import append_lines\n"
        "while True: append_lines(Path(sys.argv[1]), ['x' * 100_000])"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(target)]) as process:
        while not target.exists() or target.stat().st_size < 1_000_000:
            assert process.poll() is None
        target.rename(tmp_path / "moved.txt")
        while not target.exists() or target.stat().st_size < 300_000:
            assert process.poll() is None
        process.kill()
    for path in (target, tmp_path / "moved.txt"):
        lines = path.read_text().splitlines(keepends=True)
        assert {len(line) for line in lines} == {100_001}
