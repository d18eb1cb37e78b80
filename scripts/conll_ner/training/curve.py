"""A learning curve: F1 on dev after training on growing parts of the training documents."""

import random
import subprocess
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.vocab import Vocab

from conll_ner.common.command import WRITES, WRITES_FOLDER, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.device import resolve_device
from conll_ner.common.files import lock, write_json
from conll_ner.common.machine import end_with_parent
from conll_ner.common.markdown import join_rows
from conll_ner.common.options import Device, Seed
from conll_ner.common.overwriting import add_mark, check_outputs
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.evaluation.runs import read_metrics, read_record
from conll_ner.training.backbone_defaults import resolve_auto
from conll_ner.training.config import config_inputs, load_checked_config, read_overrides
from conll_ner.training.record import RECORD, describe_training

HEADER = ("share", "documents", "dev F1", "95 %", "updates", "seconds")
app = typer.Typer(add_completion=False)


def parse_shares(text: str) -> list[int]:
    """RETURNS (list[int]): Percentages, in order.
    RAISES (InputError): If one isn't a whole number from 1 to 100."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 100 for part in parts):
        raise InputError(f"--shares {text}: not percentages from 1 to 100, such as 10,25,50,100")
    return sorted(set(map(int, parts)))


def write_parts(train: Path, shares: list[int], seed: int, folder: Path) -> dict[int, int]:
    """Write random parts of the training documents, SHARE.spacy. A larger part holds the smaller
    ones.

    RETURNS (dict[int, int]): How many documents each part has.
    """
    docs = read_gold(train, Vocab())
    random.Random(seed).shuffle(docs)
    numbers = {share: max(1, round(share * len(docs) / 100)) for share in shares}
    for share, number in numbers.items():
        write_docs(docs[:number], folder / f"{share}.spacy")
    return numbers


def find_record(output: Path) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The record of a complete training; empty if there is none."""
    path = output / RECORD
    return read_record(path, "delete the file") if path.is_file() else {}


def train_part(
    config: Path, part: Path, settings: dict[str, Any], device: str, gpu: int
) -> dict[str, Any]:
    """Train on a part and evaluate on dev. What was done before, with the same config, settings,
    data and versions, isn't repeated; an interrupted training continues.

    part (Path): The part's documents, SHARE.spacy; pipeline and metrics are written beside it, to
        SHARE and SHARE.json.
    gpu (int): The number of `device`; -1 for the CPU.
    RETURNS (dict[str, Any]): F1 on dev, from 0 to 1, with its interval, updates and seconds.
    RAISES (InputError): If a command fails.
    """
    output, metrics = part.with_suffix(""), part.with_suffix(".json")
    settings = settings | {"paths.train": str(part)}
    resolved = resolve_auto(config, settings, gpu)
    expected = describe_training(config, load_checked_config(config, resolved), resolved, gpu)
    if not expected.items() <= find_record(output).items():
        options = [text for name, value in settings.items() for text in (f"--{name}", dumps(value))]
        run("train", config, output, "--device", device, *options)
    record = find_record(output)
    if not metrics.is_file() or read_metrics(metrics)["training"] != record:
        best, dev = output / "model-best", settings["paths.dev"]
        options = ["--training-record", str(output / RECORD), "--device", device]
        run("evaluate", best, dev, "--output", metrics, *options)
    (scores,) = read_metrics(metrics)["splits"].values()
    return {
        "f1": scores["conlleval"]["overall"]["f1"],
        "f1_interval": scores["f1_interval"],
        "steps": record["steps"],
        "seconds": record["seconds"],
    }


def run(command: str, *arguments: object) -> None:
    """Run a command of the project. It ends with this process.

    RAISES (InputError): If it fails. It has said why.
    """
    line = [sys.executable, "-m", "spacy", "ner", command, *map(str, arguments)]
    if code := subprocess.run(line, check=False, preexec_fn=end_with_parent).returncode:
        raise InputError(f"{command} ended with exit code {code}; run again to continue")


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """RETURNS (tuple[str, ...]): The cells of HEADER. A dev of one document has no interval."""
    bounds = row["f1_interval"]
    return (
        f"{row['share']} %",
        f"{row['documents']:,}",
        f"{100 * row['f1']:.2f}",
        "–".join(f"{100 * bound:.2f}" for bound in bounds) if bounds else "",
        f"{row['steps']:,}",
        f"{row['seconds']:,.0f}",
    )


def format_curve(rows: list[dict[str, Any]]) -> str:
    """RETURNS (str): A Markdown table."""
    lines = [HEADER, ["---:"] * len(HEADER), *map(format_row, rows)]
    return join_rows(lines)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@command
def main(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config file", exists=True, dir_okay=False)],
    folder: Annotated[
        Path, typer.Argument(help="Folder for the parts and their pipelines"), WRITES_FOLDER
    ],
    output: Annotated[Path, typer.Argument(help="JSON file for the curve"), WRITES],
    shares: Annotated[
        str, typer.Option(help="Percentages of the training documents, comma-separated")
    ] = "10,25,50,100",
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train on growing parts of the training documents and evaluate each pipeline on dev. Prints
    the curve as a Markdown table. Further options are settings of the config, as train takes them;
    --paths.train and --paths.dev are needed. What is done is kept: run the same command again after
    an interruption, or with more shares."""
    percentages = parse_shares(shares)
    settings = read_overrides(context.args)
    for name in ("train", "dev"):
        if not Path(str(settings.get(f"paths.{name}", ""))).is_file():
            raise InputError(f"give --paths.{name} FILE, a .spacy file")
    if output.suffix != ".json":
        raise InputError(f"{output} must end in .json")
    gpu = resolve_device(device)
    loaded = load_checked_config(config, resolve_auto(config, settings, gpu))
    check_outputs(config_inputs(loaded), [folder, output])
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        add_mark(folder, complete=False)
        parts = write_parts(Path(settings["paths.train"]), percentages, seed, folder)
        rows = [
            {"share": share, "documents": documents}
            | train_part(config, folder / f"{share}.spacy", settings, device, gpu)
            for share, documents in parts.items()
        ]
        add_mark(folder)
        write_json(output, rows)
    print(format_curve(rows))
    msg.good(f"{output}")
