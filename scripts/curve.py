"""A learning curve: F1 on dev after training on growing parts of the training documents."""

import random
import subprocess
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer

from common.console import InputError, exit_on_input_error, msg
from common.device import resolve_device
from common.files import atomic_write, lock
from common.paths import SCRIPTS
from corpus.docs import read_gold, write_docs
from reporting.runs import read_metrics
from training.backbone_defaults import resolve_auto
from training.loop import load_checked_config
from training.overrides import read_overrides
from training.record import describe_training

app = typer.Typer(add_completion=False)


def parse_shares(text: str) -> list[int]:
    """RETURNS (list[int]): Percentages, in order.
    RAISES (InputError): If one isn't a whole number from 1 to 100."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 100 for part in parts):
        raise InputError(f"--shares {text}: not percentages from 1 to 100, such as 10,25,50,100")
    return sorted(set(map(int, parts)))


def write_part(train: Path, share: int, seed: int, target: Path) -> None:
    """Write a random part of the training documents. A larger part holds the smaller ones."""
    docs = read_gold(train, spacy.blank("xx").vocab)
    random.Random(seed).shuffle(docs)
    write_docs(docs[: max(1, round(share * len(docs) / 100))], target)


def is_done(metrics: Path, expected: dict[str, Any]) -> bool:
    """RETURNS (bool): Whether a part was trained and evaluated as expected: with the same config,
    settings, data and versions."""
    return metrics.is_file() and expected.items() <= read_metrics(metrics)["training"].items()


def train_part(
    config: Path, folder: Path, share: int, settings: dict[str, Any], device: str, seed: int
) -> dict[str, Any]:
    """Train on a part and evaluate on dev, unless that was done before. An interrupted training
    continues.

    folder (Path): For the part's documents, pipeline and metrics, SHARE.spacy, SHARE and
        SHARE.json.
    RETURNS (dict[str, Any]): The metrics of dev, and the training's record.
    RAISES (InputError): If a command fails.
    """
    part, metrics = folder / f"{share}.spacy", folder / f"{share}.json"
    write_part(Path(settings["paths.train"]), share, seed, part)
    settings = settings | {"paths.train": str(part)}
    gpu = resolve_device(device)
    resolved = resolve_auto(config, settings, gpu)
    expected = describe_training(config, load_checked_config(config, resolved), resolved, gpu)
    if not is_done(metrics, expected):
        options = [part for name, value in settings.items() for part in (f"--{name}", dumps(value))]
        output = folder / str(share)
        run("train.py", config, output, "--device", device, *options)
        record = ("--training-record", output / "run.json")
        best, dev = output / "model-best", settings["paths.dev"]
        run("evaluate.py", best, dev, *record, "--output", metrics, "--device", device)
    return read_metrics(metrics)


def run(command: str, *arguments: object) -> None:
    """RAISES (InputError): If a command of the project fails. It has said why."""
    line = [sys.executable, str(SCRIPTS / command), *map(str, arguments)]
    if code := subprocess.run(line, check=False).returncode:
        raise InputError(f"{command} ended with exit code {code}; run again to continue")


def make_row(share: int, metrics: dict[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A point of the curve."""
    (dev,) = metrics["splits"].values()
    return {
        "share": share,
        "f1": dev["conlleval"]["overall"]["f1"],
        "f1_interval": dev["f1_interval"],
        "steps": metrics["training"]["steps"],
        "seconds": metrics["training"]["seconds"],
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    header = ("training documents", "dev F1", "95 % interval", "updates", "seconds")
    table = []
    for row in rows:
        low, high = row["f1_interval"] or (float("nan"), float("nan"))
        table.append(
            (
                f"{row['share']} %",
                f"{100 * row['f1']:.2f}",
                f"{100 * low:.2f} to {100 * high:.2f}",
                f"{row['steps']:,}",
                f"{row['seconds']:,.0f}",
            )
        )
    msg.table(table, header=header, divider=True, aligns=("r", "r", "c", "r", "r"))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def main(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config file", exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Argument(help="Folder for the pipelines and curve.json")],
    shares: Annotated[
        str, typer.Option(help="Percentages of the training documents, comma-separated")
    ] = "10,25,50,100",
    seed: Annotated[int, typer.Option(help="Random seed of the documents that are drawn")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU number")] = "auto",
) -> None:
    """Train on growing parts of the training documents and evaluate each pipeline on dev. Further
    options are settings of the config, as train.py takes them; --paths.train and --paths.dev are
    needed. What is done is kept: run the same command again after an interruption, or with more
    shares."""
    with exit_on_input_error():
        percentages = parse_shares(shares)
        settings = read_overrides(context.args)
        for name in ("train", "dev"):
            if not Path(str(settings.get(f"paths.{name}", ""))).is_file():
                raise InputError(f"give --paths.{name} FILE, a .spacy file")
        output.mkdir(parents=True, exist_ok=True)
        with lock(output):
            rows = [
                make_row(share, train_part(config, output, share, settings, device, seed))
                for share in percentages
            ]
            with atomic_write(output / "curve.json") as temporary:
                temporary.write_text(dumps(rows, indent=2) + "\n", encoding="utf-8")
        print_table(rows)
        msg.good(f"{output / 'curve.json'}")


if __name__ == "__main__":
    app()
