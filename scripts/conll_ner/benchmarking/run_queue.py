"""Run a list of commands by priority within a time limit, for a machine that is lent for minutes:
several beside each other, and what is done isn't done again."""

import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conll_ner.common.command import Writes, command
from conll_ner.common.console import InputError, first_line, msg
from conll_ner.common.files import lock, read_json, write_json
from conll_ner.common.machine import end_with_parent
from conll_ner.common.options import Device

NER = (sys.executable, "-m", "spacy", "ner")
DONE = ".done.json"
DEEPEST = 10  # values in values
GRACE = 20.0  # seconds for a command to end after Ctrl+C, before it is killed


class Run(BaseModel):
    """A run of a queue.

    name (str): Of its log, and of what it writes.
    commands (list[str]): What follows `python -m spacy ner`, one after another.
    seconds (float): How long it takes: it isn't started with less time left.
    needs (list[str]): Runs that must be done before.
    alone (bool): Whether nothing else may run meanwhile, because it measures time.
    seeds (list[int]): For each of them, there is a run NAME-seedN, with {seed} in its commands.
    """

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[\w.-]+$")
    commands: list[str] = Field(min_length=1)
    seconds: float = Field(gt=0)
    needs: list[str] = []
    alone: bool = False
    seeds: list[int] = []


class Queue(BaseModel):
    """A file of runs, the most important first. vars: what {NAME} in a command, or in another of
    them, stands for."""

    model_config = ConfigDict(extra="forbid")
    vars: dict[str, str | int | float] = {}
    runs: list[Run]


class Started(NamedTuple):
    """A run of which a command is running, since `start` of time.monotonic."""

    run: Run
    process: subprocess.Popen[bytes]
    start: float


@command
def main(
    queue: Annotated[Path, typer.Argument(help="TOML file of runs, such as docs/results/gpu.toml")],
    output: Annotated[
        Path, typer.Argument(help="Folder for what the runs write"), Writes("inside")
    ],
    minutes: Annotated[float, typer.Option(min=0.1, help="Stop everything after this time")] = 14,
    parallel: Annotated[int, typer.Option(min=1, help="Runs beside each other")] = 1,
    var: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE in place of one of the file; repeatable")
    ] = None,
    device: Device = "auto",
) -> None:
    """Run a queue of commands. What {output}, {name} and {device} in them stand for is OUTPUT, the
    run's name, and --device. Logs are OUTPUT/NAME.log. A run that is done isn't run again; one that
    was stopped goes on where its commands can resume, as train can."""
    given = {name: value for name, _, value in (each.partition("=") for each in var or [])}
    values = given | {"output": str(output), "device": device}
    runs = read_queue(queue, values)
    output.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background ignores the second
        signal.signal(number, signal.default_int_handler)
    with lock(output / "queue"):
        left = run_all(runs, output, 60 * minutes, parallel)
    if left:
        msg.warn(f"not done: {', '.join(left)}; run the same command again, or see their logs")
        raise typer.Exit(1)
    msg.good(f"{output}: {len(runs)} runs done")


def read_queue(path: Path, values: Mapping[str, Any]) -> list[Run]:
    """RETURNS (list[Run]): The runs of a file, with values in place of their names in braces.
    RAISES (InputError): If it isn't such a file, or a name in it is unknown or given twice."""
    try:
        queue = Queue.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise InputError(f"{path}: not TOML: {first_line(error)}") from None
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"]))
        raise InputError(f"{path}: {place}: {found['msg']}") from None
    runs = [each for run in queue.runs for each in with_seeds(run)]
    names = [run.name for run, _ in runs]
    for run, seed in runs:
        if names.count(run.name) > 1 or not set(run.needs) <= set(names) - {run.name}:
            raise InputError(f"{path}: {run.name} is there twice, or needs a run that isn't there")
        known = queue.vars | dict(values) | {"name": run.name, "seed": seed}
        try:
            run.commands = [fill_in(line, known) for line in run.commands]
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(f"{path}: {run.name}: no value for {error}") from None
    return [run for run, _ in runs]


def with_seeds(run: Run) -> list[tuple[Run, int]]:
    """RETURNS (list[tuple[Run, int]]): The run for each of its seeds; with 0 without any."""
    if not run.seeds:
        return [(run, 0)]
    return [(run.model_copy(update={"name": f"{run.name}-seed{n}"}), n) for n in run.seeds]


def fill_in(line: str, values: Mapping[str, Any]) -> str:
    """RETURNS (str): A text with values in place of names in braces, also of those in values.
    RAISES (ValueError): If a value has its own name in it."""
    for _ in range(DEEPEST):
        filled = line.format_map(values)
        if filled == line:
            return line
        line = filled
    raise ValueError(f"{line[:60]}, which has its own name in it")


def run_all(
    runs: Sequence[Run],
    output: Path,
    seconds: float,
    parallel: int,
    program: Sequence[str] = NER,
) -> list[str]:
    """Run what isn't done, in order, until the time is over. Prints each end.

    seconds (float): Until everything is stopped.
    program (Sequence[str]): What the commands are arguments of.
    RETURNS (list[str]): The names of the runs that are not done.
    """
    end = time.monotonic() + seconds
    done = {run.name for run in runs if is_done(run, output)}
    waiting = [run for run in runs if run.name not in done]
    running: list[Started] = []
    try:
        while waiting or running:
            for run in startable(waiting, running, done, parallel, end - time.monotonic()):
                waiting.remove(run)
                msg.text(f"{run.name}: started")
                running.append(start(run, output, program))
            if not running:
                break
            time.sleep(0.2)
            for each in [each for each in running if each.process.poll() is not None]:
                running.remove(each)
                if not finish(each, output):
                    continue
                if is_done(each.run, output):
                    done.add(each.run.name)
                else:
                    running.append(start(each.run, output, program))
            if time.monotonic() > end:
                msg.warn("the time is over")
                break
    finally:
        stop(running)
    return [run.name for run in runs if run.name not in done]


def startable(
    waiting: Sequence[Run], running: Sequence[Started], done: set[str], parallel: int, left: float
) -> list[Run]:
    """RETURNS (list[Run]): The runs to start now. One that has to run alone is not overtaken by
    later ones. left: seconds until the end."""
    chosen: list[Run] = []
    busy = [each.run for each in running]
    for run in waiting:
        if not set(run.needs) <= done or run.seconds > left:
            continue
        if any(each.alone for each in busy) or len(busy) == parallel or (run.alone and busy):
            break
        chosen.append(run)
        busy.append(run)
    return chosen


def start(run: Run, output: Path, program: Sequence[str]) -> Started:
    """Start the first of a run's commands that isn't done."""
    line = run.commands[len(read_done(run, output)["commands"])]
    with (output / f"{run.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*program, *shlex.split(line)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=obey_signals,
        )
    return Started(run, process, time.monotonic())


def obey_signals() -> None:
    """What was started in the background of a shell ignores Ctrl+C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()


def finish(ended: Started, output: Path) -> bool:
    """Keep which command is done. RETURNS (bool): Whether it succeeded."""
    run, done = ended.run, read_done(ended.run, output)
    seconds = round(done["seconds"] + time.monotonic() - ended.start, 1)
    if ended.process.returncode:
        msg.fail(f"{run.name}: failed after {seconds:g} s; see {output / f'{run.name}.log'}")
        return False
    commands = run.commands[: len(done["commands"]) + 1]
    write_json(output / f"{run.name}{DONE}", {"commands": commands, "seconds": seconds})
    if commands == run.commands:
        msg.good(f"{run.name}: {seconds:g} s")
    return True


def is_done(run: Run, output: Path) -> bool:
    return bool(read_done(run, output)["commands"] == run.commands)


def read_done(run: Run, output: Path) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Which of a run's commands, its first ones, are done, and how long
    they took; none if other commands were done under its name."""
    path = output / f"{run.name}{DONE}"
    found = read_json(path, "delete it") if path.is_file() else {}
    commands = found.get("commands", [])
    if commands and run.commands[: len(commands)] == commands:
        return found
    return {"commands": [], "seconds": 0.0}


def stop(running: Sequence[Started]) -> None:
    """End the processes of runs, as Ctrl+C does, so that they keep what they have."""
    for each in running:
        os.killpg(each.process.pid, signal.SIGINT)
    end = time.monotonic() + GRACE
    for each in running:
        try:
            each.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()
