"""Kills of annotate at random moments: every row is written once, and no process stays."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.annotate_helpers import descendants, is_busy_worker, read, write

pytestmark = pytest.mark.stress
FILES = 6
JOB = "STRESS_JOB"  # an environment variable, by which the processes of a cluster are found


def run_and_kill(command: Sequence[str], seconds: float, *, worker: bool) -> tuple[int, int]:
    """Start a run and kill it after some seconds, unless it ends before.

    worker (bool): Whether to kill a busy worker first, as soon as there is one. The seconds count
        from then on.
    RETURNS (tuple[int, int]): How many drivers and workers were killed.
    """
    environment = os.environ | {JOB: str(uuid.uuid4())}
    driver = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + seconds
    workers = 0
    limit = time.monotonic() + 300  # for a worker to be busy
    while driver.poll() is None and time.monotonic() < (limit if worker > workers else deadline):
        busy = [pid for pid in descendants(driver.pid) if is_busy_worker(pid)]
        if worker and busy and not workers:
            os.kill(busy[0], signal.SIGKILL)
            workers = 1
            deadline = time.monotonic() + seconds
        time.sleep(0.05)
    killed = driver.poll() is None
    driver.kill()
    driver.wait()
    wait_until_ended(environment[JOB])
    return int(killed), workers


def wait_until_ended(job: str) -> None:
    """RAISES (AssertionError): If a process of the job still runs after three minutes. A worker
    that was starting looks for its cluster for one minute."""
    deadline = time.monotonic() + 180
    while found := processes_of(job):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def processes_of(job: str) -> list[bytes]:
    """RETURNS (list[bytes]): The command lines of the processes of a job."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if f"{JOB}={job}".encode() in (path / "environ").read_bytes():
                found.append((path / "cmdline").read_bytes())
    return found


def test_kills_of_annotate(
    pipeline: Path,
    sentences: list[str],
    tmp_path: Path,
    stress: int,
    record: Callable[[str, str, str], None],
) -> None:
    """The driver is killed at random moments, in every second run after a worker was killed."""
    pytest.importorskip("ray")
    texts = sentences * 4
    for number in range(FILES):
        write(tmp_path / "in" / f"{number}.parquet", texts, number * len(texts))
    folder = tmp_path / "out"
    output = folder / "annotated"
    folder.mkdir()
    command = [sys.executable, "-m", "spacy", "ner", "annotate", str(pipeline)]
    command += [str(tmp_path / "in"), str(output)]
    command += ["--workers", "2"]

    def resume() -> list[str]:
        return ["--resume"] if output.with_name("annotated.partial").exists() else []

    rng = random.Random(0)
    start = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - start
    drivers = workers = 0
    for number in range(2 * stress):
        if output.exists():
            assert len(read(output)) == FILES * len(texts)
            output.rename(tmp_path / f"complete-{number}")
        killed = run_and_kill([*command, *resume()], rng.uniform(2, seconds), worker=number % 2 > 0)
        drivers, workers = drivers + killed[0], workers + killed[1]
    if not output.exists():
        subprocess.run([*command, *resume()], check=True)
    assert [row["id"] for row in read(output)] == list(range(FILES * len(texts)))
    assert [path.name for path in folder.iterdir()] == ["annotated"]
    record("annotate, the driver", f"{drivers} kills", "every row once, nothing left over")
    record("annotate, a worker", f"{workers} kills", "every row once, nothing left over")
