"""Processes that are killed, full disks, and the rows of the table in docs/reliability.md."""

import json
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROWS = pytest.StashKey[list[tuple[str, ...]]]()


class Process:
    """A command that the fork server runs, with its process id, which the server's client hides.

    python (Path): The client (the fixture `python`).
    """

    def __init__(self, python: Path, arguments: Sequence[object], log: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(python.parent / "socket"))
        argv = [str(argument) for argument in arguments]
        request = {
            "argv": argv,
            "exe": str(python),
            "cwd": str(Path.cwd()),
            "env": dict(os.environ),
        }
        with log.open("w") as output, Path(os.devnull).open() as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            socket.send_fds(self.connection, [b"."], streams)
        self.connection.sendall(json.dumps(request).encode() + b"\0")
        self.replies = self.connection.makefile("r")
        self.pid = int(self.replies.readline())

    def wait(self) -> int:
        """RETURNS (int): The exit code; negative if a signal ended the process.
        RAISES (TimeoutError): After ten minutes."""
        self.connection.settimeout(600)
        with self.connection, self.replies:
            return int(self.replies.readline())

    def kill(self) -> None:
        """End the process without warning. Its workers have to notice by themselves."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()


def kill_often(
    python: Path,
    arguments: Sequence[object],
    folder: Path,
    kills: int,
    check: Callable[[], None],
    resume: Sequence[object] = (),
) -> int:
    """Run a command again and again, and kill it at random moments of the time that it takes. Then
    let it end.

    folder (Path): The folder that it writes to. In the end, its names are as after a run that
        nothing killed: no partial, temporary or lock file.
    check (Callable): Called after every kill and after the last run; raises if something is lost.
    resume (Sequence): Further options of the runs after the first.
    RETURNS (int): The number of runs that were killed.
    """
    log = folder.parent / f"{folder.name}.log"
    start = time.monotonic()
    complete(python, arguments, log)
    seconds = time.monotonic() - start
    check()
    expected = sorted(path.name for path in folder.iterdir())
    rng = random.Random(0)
    killed = 0
    for _ in range(kills):
        process = Process(python, [*arguments, *resume], log)
        deadline = time.monotonic() + rng.uniform(0, seconds)
        while time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        killed += 1
        check()
    complete(python, [*arguments, *resume], log)
    check()
    assert sorted(path.name for path in folder.iterdir()) == expected
    return killed


def complete(python: Path, arguments: Sequence[object], log: Path) -> None:
    """Let a command end.

    RAISES (AssertionError): Unless it succeeds within ten minutes.
    """
    assert Process(python, arguments, log).wait() == 0, log.read_text(encoding="utf-8")


@contextmanager
def full_disk() -> Iterator[None]:
    """A limit of 50 kB per file, for this process, has the effect of a full disk: an OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
