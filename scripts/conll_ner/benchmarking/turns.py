"""Run commands in alternating time slices, so that other load slows all of them alike."""

import os
import signal
import subprocess
import time
from pathlib import Path

from conll_ner.common.console import InputError, msg


class PausableClock:
    """A clock that pauses while its process is stopped."""

    def __init__(self) -> None:
        self.now = time.perf_counter  # the original, which `install_clock` replaces
        self.paused = 0.0

    def __call__(self) -> float:
        return self.now() - self.paused

    def pause(self, *_: object) -> None:
        start = self.now()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.paused += self.now() - start


def install_clock() -> None:
    """Make `time.perf_counter` exclude pauses in this process."""
    clock = PausableClock()
    signal.signal(signal.SIGTSTP, clock.pause)
    time.perf_counter = clock


def take_turns(commands: dict[str, list[str]], logs: Path, turn: float | None) -> None:
    """Run commands in alternation until all have finished.

    commands (dict[str, list[str]]): By name. Their output goes to logs/NAME.log.
    turn (float | None): Length of a time slice in seconds; None: until a command has finished.
    RAISES (InputError): If one fails.
    """
    workers: dict[str, subprocess.Popen[bytes]] = {}
    waiting = list(commands)
    try:
        while waiting:
            name = waiting.pop(0)
            if name in workers:
                workers[name].send_signal(signal.SIGCONT)
            else:
                with (logs / f"{name}.log").open("wb") as log:
                    # A new process group: until the worker has installed its handler, SIGTSTP has
                    # no effect in an orphaned group, such as one under nohup.
                    workers[name] = subprocess.Popen(
                        commands[name], stdout=log, stderr=log, process_group=0
                    )
            if not exits_within(workers[name], turn):
                stop(workers[name])
                waiting.append(name)
            elif workers[name].returncode != 0:
                raise InputError(f"{name} failed; see {logs / name}.log")
            else:
                msg.text(f"{name}: done")
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()


def exits_within(worker: subprocess.Popen[bytes], seconds: float | None) -> bool:
    try:
        worker.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def stop(worker: subprocess.Popen[bytes]) -> None:
    """Stop a worker, and wait until it has stopped. Python runs the signal handler only after the
    current call into torch."""
    while worker.poll() is None:
        worker.send_signal(signal.SIGTSTP)
        for _ in range(20):
            if is_stopped(worker.pid):
                return
            time.sleep(0.05)


def is_stopped(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True  # it has exited
    return status.rpartition(")")[2].split()[0] in "TZ"
