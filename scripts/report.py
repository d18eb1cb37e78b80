"""Metrics into tables: on the console, and into the README."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from console import InputError, clear_errors, msg
from files import written_aside

START = "<!-- RESULTS: AUTO-GENERATED START (scripts/report.py) -->"
END = "<!-- RESULTS: AUTO-GENERATED END -->"


def format_table(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): A Markdown table: a row for each split of each run; F1 overall and by
    type, precision, recall and token accuracy, in percent, by conlleval's protocol."""
    types = sorted(
        {t for run in runs for split in run["splits"].values() for t in split["conlleval"]["types"]}
    )
    header = ["run", "split", "precision", "recall", "F1", *(f"F1 {t}" for t in types), "accuracy"]
    lines = [header, ["---", "---", *["---:"] * (len(header) - 2)]]
    for run in runs:
        for name, scores in run["splits"].items():
            overall, by_type = scores["conlleval"]["overall"], scores["conlleval"]["types"]
            values = [overall[key] for key in ("precision", "recall", "f1")]
            values += [by_type.get(t, {"f1": 0.0})["f1"] for t in types]
            values.append(scores["token_accuracy"])
            lines.append([run["name"], name, *(f"{100 * value:.2f}" for value in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_run(run: dict[str, Any]) -> str:
    """RETURNS (str): A Markdown line on what it takes to get a run's scores again."""
    training = run["training"]
    versions = training["versions"]
    packages = ("spacy", "spacy-transformers", "torch")
    return (
        f"- `{run['name']}`: backbone {training['backbone']['name']}, config "
        f"`{training['config']}`, seed {training['seed']}, {training['epochs']} epochs, "
        f"{training['seconds']:,.0f} s on {training['hardware']} "
        f"({', '.join(f'{package} {versions[package]}' for package in packages)})"
    )


def write_between(path: Path, text: str) -> None:
    """Put `text` between the marks in a file.

    RAISES (InputError): If the file has no marks.
    """
    old = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    new, number = pattern.subn(lambda _: f"{START}\n\n{text}\n\n{END}", old)
    if number != 1:
        raise InputError(f"{path}: must hold {START} and {END} once, has them {number} times")
    with written_aside(path) as aside:
        aside.write_text(new, encoding="utf-8")


def main(
    metrics: Annotated[list[Path], typer.Argument(help="Files that evaluate.py wrote")],
    readme: Annotated[Path | None, typer.Option(help="File to write the table into")] = None,
) -> None:
    """Print the scores of one or more runs as a Markdown table."""
    with clear_errors():
        for path in metrics:
            if not path.is_file():
                raise InputError(f"{path}: no such file; run evaluate first")
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in metrics]
        table = format_table(runs)
        print(table)
        if readme is not None:
            write_between(readme, "\n".join([table, "", *map(describe_run, runs)]))
            msg.good(f"{readme}: results of {', '.join(run['name'] for run in runs)}")


if __name__ == "__main__":
    typer.run(main)
