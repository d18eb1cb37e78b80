"""Compare trained systems: F1, speed, size, memory and start, in one table and one chart.

Each system runs in a new process, once in each round, so that other load on the machine slows all
of them alike. What is measured is kept: an interrupted run continues.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from confection import Config

from conll_ner.benchmarking.frontier_chart import draw_frontier, format_frontier
from conll_ner.benchmarking.frontier_systems import (
    CHECKPOINT_KINDS,
    FULL,
    OTHER,
    SLIM,
    TRANSITION,
    list_files,
)
from conll_ner.benchmarking.optimum_models import has_optimum
from conll_ner.common.command import WRITES_FOLDER, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write, lock, read_json, sha256, write_json
from conll_ner.common.machine import describe_hardware, end_with_parent, package_versions
from conll_ner.common.overwriting import add_mark
from conll_ner.evaluation.runs import read_record
from conll_ner.evaluation.tables import describe_model

FRONTIER = "frontier.json"
WORKER = "from conll_ner.benchmarking.frontier_systems import main; main()"


class System(NamedTuple):
    """A system to measure.

    model (str): Its backbone, how many layers of it, and whether it was taught, and its folder
        where others are of the same; or its folder alone.
    kind (str): How it is run: SLIM, FULL, TRANSITION, OTHER, or one of CHECKPOINT_KINDS.
    """

    model: str
    kind: str
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.model}: {self.kind}"


def find_systems(folders: list[Path]) -> list[System]:
    """RETURNS (list[System]): A pipeline is one system; a checkpoint is one for each way to run it.
    RAISES (InputError): If a folder is neither, or two would have the same name."""
    systems = []
    for folder in folders:
        if (folder / "config.cfg").is_file():
            kinds = [pipeline_kind(folder)]
        elif (folder / "config.json").is_file():
            kinds = checkpoint_kinds()
        else:
            raise InputError(f"{folder} is neither a pipeline nor a checkpoint")
        systems += [System(describe_folder(folder), kind, folder) for kind in kinds]
    shared = find_shared(systems)
    systems = [
        system._replace(model=f"{system.model} ({folder_name(system.folder)})")
        if system.name in shared
        else system
        for system in systems
    ]
    shared = find_shared(systems)
    for system in systems:
        if system.name in shared:
            raise InputError(f"{system.folder} is not the only {system.name}")
    return systems


def find_shared(systems: list[System]) -> set[str]:
    """RETURNS (set[str]): The names that several systems have."""
    return {name for name, n in Counter(system.name for system in systems).items() if n > 1}


def describe_folder(folder: Path) -> str:
    """RETURNS (str): What was trained, by the run.json beside a pipeline or checkpoint; without
    one, the names of the folder and its parent."""
    record = folder.resolve().parent / "run.json"
    if record.is_file():
        return describe_model({"training": read_record(record, "delete it")})
    return folder_name(folder)


def folder_name(folder: Path) -> str:
    return "/".join(folder.resolve().parts[-2:])


def pipeline_kind(folder: Path) -> str:
    """RETURNS (str): SLIM, FULL, TRANSITION or OTHER."""
    components = Config().from_disk(folder / "config.cfg", interpolate=False)["components"]
    factories = {component.get("factory") for component in components.values()}
    if "token_ner" not in factories:
        return TRANSITION if "ner" in factories else OTHER
    return SLIM if "slim" in read_json(folder / "meta.json", "train again") else FULL


def checkpoint_kinds() -> list[str]:
    """RETURNS (list[str]): The ways to run a checkpoint on this machine."""
    import torch

    from token_ner.torch_model.forward import has_bfloat16

    left_out = set() if has_bfloat16(torch.device("cpu")) else {"transformers bfloat16"}
    if not has_optimum():
        msg.info("Optimum is left out: pip install optimum optimum-onnx")
        left_out |= {"Optimum float32", "Optimum int8"}
    return [kind for kind in CHECKPOINT_KINDS if kind not in left_out]


def fingerprint(folder: Path) -> str:
    """RETURNS (str): A hash of all files in a folder."""
    rows = [[str(path.relative_to(folder)), sha256(path)] for path in list_files(folder)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def measure_once(
    system: System, gold: Path, documents: int, path: Path, key: dict[str, Any]
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A system's measurements, which are kept in a file; those that are
    there already, of the same system, gold, versions and settings, aren't repeated.
    RAISES (InputError): If it fails."""
    if path.is_file() and (found := read_json(path, "delete it")).get("key") == key:
        return dict(found["measured"])
    part, log = path.with_suffix(".part"), path.with_suffix(".log")
    models = path.with_name(str(key["system"])[:8])  # of Optimum, the same in each round
    models.mkdir(exist_ok=True)
    arguments = [system.kind, system.folder, gold, models, documents, time.time(), part]
    line = [sys.executable, "-c", WORKER, *map(str, arguments)]
    with log.open("wb") as file:
        done = subprocess.run(
            line, stdout=file, stderr=file, check=False, preexec_fn=end_with_parent
        )
    if done.returncode:
        raise InputError(f"{system.name} failed; see {log}")
    measured = read_json(part, "run again")
    write_json(path, {"key": key, "measured": measured})
    part.unlink()
    return measured


def summarize(f1: float, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Medians of several rounds, at the fastest batch size, with the
    words per second of each round."""
    speeds = {
        size: [measured["words_per_second"][size] for measured in rounds]
        for size in rounds[0]["words_per_second"]
    }
    best = max(speeds, key=lambda size: statistics.median(speeds[size]))
    names = ("first_text_seconds", "first_text_memory_mb", "peak_memory_mb", "megabytes")
    return {
        "f1": f1,
        "words_per_second": round(statistics.median(speeds[best])),
        "rounds": speeds[best],
        "batch_size": int(best),
    } | {name: statistics.median(measured[name] for measured in rounds) for name in names}


@command
def main(
    gold: Annotated[Path, typer.Argument(help="Gold documents, such as test.spacy")],
    output: Annotated[Path, typer.Argument(help="Folder for the results"), WRITES_FOLDER],
    systems: Annotated[
        list[Path], typer.Argument(help="Folders of pipelines, full or slim, and of checkpoints")
    ],
    rounds: Annotated[int, typer.Option(min=1, help="How often each system is started")] = 3,
    documents: Annotated[
        int, typer.Option(min=1, help="Documents whose words per second count; F1 is of all")
    ] = 40,
) -> None:
    """Compare trained pipelines and checkpoints on the CPU: F1, words per second, size, memory, and
    seconds until the first text. A checkpoint is run by transformers' pipeline, and by Optimum on
    ONNX Runtime if it is installed. Set OMP_NUM_THREADS for another number of threads. Writes
    frontier.json, frontier.md and frontier.svg to OUTPUT. What is measured is kept: run the same
    command again after an interruption."""
    if not gold.is_file():
        raise InputError(f"{gold}: no such file")
    found = find_systems(systems)
    output.mkdir(parents=True, exist_ok=True)
    with lock(output):
        add_mark(output, complete=False)
        rows = measure_systems(found, gold, output, rounds, documents)
        about = {"hardware": describe_hardware(-1), "versions": package_versions()}
        settings = {"threads": os.environ.get("OMP_NUM_THREADS", ""), "documents": documents}
        write_json(output / FRONTIER, about | settings | {"systems": rows})
        table = format_frontier(rows)
        with atomic_write(output / "frontier.md") as temporary:
            temporary.write_text(table + "\n", encoding="utf-8")
        with atomic_write(output / "frontier.svg") as temporary:
            draw_frontier(rows, temporary)
        add_mark(output)
    print(table)
    msg.good(f"{output / FRONTIER}, frontier.md, frontier.svg")


def measure_systems(
    systems: list[System], gold: Path, output: Path, rounds: int, documents: int
) -> dict[str, dict[str, Any]]:
    """RETURNS (dict[str, dict[str, Any]]): The summary of each system, by name. In each round, all
    are measured once, one after another; F1 in a round before."""
    settings = {"gold": sha256(gold), "threads": os.environ.get("OMP_NUM_THREADS", "")}
    settings |= package_versions()
    keys = {system: settings | {"system": fingerprint(system.folder)} for system in systems}
    f1: dict[System, float] = {}
    measured: dict[System, list[dict[str, Any]]] = {system: [] for system in systems}
    for number in range(rounds + 1):
        for i, system in enumerate(systems, start=1):
            msg.text(f"{system.name}: {f'round {number} of {rounds}' if number else 'F1'}")
            timed = documents if number else 0
            key = keys[system] | {"documents": timed}
            found = measure_once(system, gold, timed, output / f"{i}-{number}.json", key)
            if number:
                measured[system].append(found)
            else:
                f1[system] = found["f1"]
    return {
        system.name: {"model": system.model, "kind": system.kind}
        | summarize(f1[system], measured[system])
        for system in systems
    }
