"""Compare the speed, F1 and memory of several systems on one machine.

On a CPU, the systems alternate every few seconds, stopped and continued by signals, so that other
load on the machine slows all of them alike. A GPU goes on with its work when its process is
stopped, so there each system runs alone: in training one after another, in prediction in
alternating passes. Compare ratios, not seconds.
"""

import os
import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from conll_ner.benchmarking import frontier, pack, run_queue
from conll_ner.benchmarking.optimum_models import has_optimum
from conll_ner.benchmarking.results import (
    SPLITS,
    format_results,
    plot_curves,
    prepare_corpus,
    ratios,
)
from conll_ner.benchmarking.systems import (
    OURS,
    SYSTEMS,
    System,
    predict_spacy,
    predict_trainer,
    train_spacy,
    train_trainer,
)
from conll_ner.benchmarking.turns import install_clock, take_turns
from conll_ner.common.command import WRITES_FOLDER, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.device import resolve_device
from conll_ner.common.files import atomic_write, fresh_folder, read_json, write_json
from conll_ner.common.machine import describe_hardware, package_versions
from conll_ner.common.options import Device
from conll_ner.common.overwriting import add_mark

app = typer.Typer(add_completion=False)
app.command("frontier")(frontier.main)
app.command("queue")(run_queue.main)
app.command("pack")(pack.main)
QUICK_DOCUMENTS: dict[str, int | None] = {"train": 100, "valid": 40, "test": 40}
TURN = 15.0  # seconds that a system runs before the next one continues


@app.command(hidden=True)
def work(
    phase: Annotated[str, typer.Argument(help="train or predict")],
    name: str,
    corpus: Path,
    backbone: Path,
    number: Annotated[int, typer.Argument(help="Number of epochs or passes")],
    gpu: Annotated[int, typer.Option(help="GPU number; -1 for the CPU")] = -1,
) -> None:
    """Train or predict with one system. `run` starts this command for each of them."""
    if gpu >= 0:  # the only one: transformers' Trainer uses all GPUs that it sees
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
        gpu = 0
    else:
        install_clock()
    (system,) = [system for system in SYSTEMS if system.name == name]
    trainer = system.recipe in ("trainer", "optimum")
    result: dict[str, Any]
    if phase == "train":
        result = (train_trainer if trainer else train_spacy)(system, corpus, backbone, number, gpu)
    else:
        result = (predict_trainer if trainer else predict_spacy)(system, corpus, number, gpu)
    write_json(corpus.parent / f"{name}.{phase}.json", result)


def measure_systems(
    names: list[str], corpus: Path, backbone: Path, output: Path, epochs: int, passes: int, gpu: int
) -> dict[str, dict[str, Any]]:
    """Train with all systems that are trained, then predict with all.

    names (list[str]): Of the systems.
    gpu (int): Number of the GPU; -1 for the CPU.
    RETURNS (dict[str, dict[str, Any]]): The measurements, by system.
    RAISES (InputError): If a system fails.
    """

    def run(phase: str, number: int, names: list[str]) -> dict[str, dict[str, Any]]:
        arguments = [str(corpus), str(backbone), str(number), "--gpu", str(gpu)]
        start = [sys.executable, "-m", "spacy", "ner", "benchmark", "work", phase]
        commands = {name: [*start, name, *arguments] for name in names}
        take_turns(commands, output, TURN if gpu < 0 else None)
        files = {name: output / f"{name}.{phase}.json" for name in names}
        return {name: read_json(path, "run it again") for name, path in files.items()}

    trained = [s.name for s in SYSTEMS if s.name in names and s.model_of is None]
    systems: dict[str, dict[str, Any]] = {name: {} for name in names}
    systems |= run("train", epochs, trained)
    turns = [passes] if gpu < 0 else [1] * passes
    rounds = [run("predict", number, names) for number in turns]
    for name, row in systems.items():
        row["words_per_second"] = {
            size: statistics.median(found[name][size] for found in rounds)
            for size in rounds[0][name]
        }
    return systems


def check_names(systems: str, gpu: int) -> list[str]:
    """RETURNS (list[str]): The names of the systems to compare, without those that can't run here.
    RAISES (InputError): If one is unknown, or `token_ner`, which is compared, isn't one, or one
        predicts with the model of another that isn't."""
    names = [name.strip() for name in systems.split(",")]
    known = [system.name for system in SYSTEMS]
    for name in names:
        if name not in known:
            raise InputError(f"--systems {name} is not one of {', '.join(known)}")
    if OURS not in names:
        raise InputError(f"--systems must name {OURS}, which is compared with the others")
    chosen = [system for system in SYSTEMS if system.name in names]
    for system in chosen:
        if system.model_of not in (None, *names):
            raise InputError(
                f"--systems {system.name} needs {system.model_of}, whose model it uses"
            )
    return [system.name for system in chosen if can_run(system, gpu)]


def can_run(system: System, gpu: int) -> bool:
    """RETURNS (bool): Whether a system can run here. If not, a message says why."""
    if system.model_of is not None and gpu >= 0:
        msg.info(f"{system.name} is left out: it runs on the CPU only (--device cpu)")
        return False
    if system.recipe == "optimum" and not has_optimum():
        msg.info(f"{system.name} is left out: pip install optimum optimum-onnx")
        return False
    return True


@app.command()
@command
def run(
    corpus: Annotated[Path, typer.Argument(help="Folder with train.txt, valid.txt, test.txt")],
    backbone: Annotated[Path, typer.Argument(help="Folder of the backbone")],
    output: Annotated[
        Path, typer.Argument(help="Folder for results and models; it is replaced"), WRITES_FOLDER
    ],
    quick: Annotated[
        bool, typer.Option(help="Use part of the corpus: takes minutes, F1 is meaningless")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Number of epochs")] = 3,
    passes: Annotated[int, typer.Option(help="Timed passes over dev in prediction")] = 3,
    device: Device = "auto",
    systems: Annotated[
        str, typer.Option(help="Names of the systems to compare, comma-separated")
    ] = ",".join(system.name for system in SYSTEMS),
) -> None:
    """Train and time several systems. Writes results.json, results.md and results.png to OUTPUT."""
    for name in SPLITS:
        if not (corpus / f"{name}.txt").is_file():
            raise InputError(f"{corpus / name}.txt: no such file; run fetch first")
    if not (backbone / "config.json").is_file():
        raise InputError(f"{backbone} contains no backbone; run fetch first")
    gpu = resolve_device(device)
    names = check_names(systems, gpu)
    fresh_folder(output)
    documents = QUICK_DOCUMENTS if quick else dict.fromkeys(SPLITS)
    prepare_corpus(corpus, output / "corpus", documents)
    found = measure_systems(names, output / "corpus", backbone, output, epochs, passes, gpu)
    results = {
        "quick": quick,
        "epochs": epochs,
        "hardware": describe_hardware(gpu),
        "versions": package_versions(),
        "systems": found,
        "ratios": ratios(found),
    }
    write_json(output / "results.json", results)
    table = format_results(found)
    with atomic_write(output / "results.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    plot_curves(found, output / "results.png")
    add_mark(output)
    print(table)
    msg.good(f"{output / 'results.json'}, results.md, results.png")
