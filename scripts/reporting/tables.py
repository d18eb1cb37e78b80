"""Format metrics as Markdown tables."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.console import InputError
from common.files import atomic_write
from reporting.runs import group_by_seed

START = "<!-- RESULTS: AUTO-GENERATED START (scripts/report.py) -->"
END = "<!-- RESULTS: AUTO-GENERATED END -->"


def format_table(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): A Markdown table with a row for each split of each run, and the mean and
    standard deviation of runs that differ only in the seed. Columns, in percent, by conlleval's
    protocol: precision, recall, F1 with interval, F1 by type, token accuracy."""
    types = sorted(
        {t for run in runs for split in run["splits"].values() for t in split["conlleval"]["types"]}
    )
    names = ["precision", "recall", "F1", *(f"F1 {t}" for t in types), "accuracy"]
    header = ["run", "split", *names[:3], "95 %", *names[3:]]
    lines = [header, ["---", "---", *["---:"] * (len(header) - 2)]]
    for run in runs:
        for name, scores in run["splits"].items():
            cells = [f"{100 * value:.2f}" for value in row_values(scores, types)]
            bounds = scores.get("f1_interval")
            interval = "–".join(f"{100 * bound:.2f}" for bound in bounds) if bounds else ""
            lines.append([run["name"], name, *cells[:3], interval, *cells[3:]])
    for group in group_by_seed(runs):
        for name in group[0]["splits"]:
            values = [row_values(run["splits"][name], types) for run in group]
            cells = [
                f"{100 * statistics.mean(column):.2f} ± {100 * statistics.stdev(column):.2f}"
                for column in zip(*values, strict=True)
            ]
            lines.append([f"{len(group)} seeds", name, *cells[:3], "", *cells[3:]])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row_values(scores: dict[str, Any], types: Sequence[str]) -> list[float]:
    """RETURNS (list[float]): Precision, recall, F1, F1 of each type, token accuracy."""
    overall, by_type = scores["conlleval"]["overall"], scores["conlleval"]["types"]
    return [
        *(overall[key] for key in ("precision", "recall", "f1")),
        *(by_type.get(t, {"f1": 0.0})["f1"] for t in types),
        scores["token_accuracy"],
    ]


def format_training(run: dict[str, Any]) -> str:
    """RETURNS (str): A Markdown list item with the settings, hardware and versions of a run."""
    training = run["training"]
    versions = training["versions"]
    packages = ("spacy", "spacy-transformers", "torch")
    return (
        f"- `{run['name']}`: backbone {training['backbone']['name']}, config "
        f"`{training['config']}`, seed {training['seed']}, {training['epochs']} epochs, "
        f"{training['seconds']:,.0f} s on {training['hardware']} "
        f"({', '.join(f'{package} {versions[package]}' for package in packages)})"
    )


def format_results(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): The table of the runs, and a list item for each run."""
    return "\n".join([format_table(runs), "", *map(format_training, runs)])


def replace_marked_block(path: Path, text: str) -> None:
    """Replace the text between START and END in a file.

    RAISES (InputError): If the file doesn't contain both marks exactly once.
    """
    old = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    new, number = pattern.subn(lambda _: f"{START}\n\n{text}\n\n{END}", old)
    if number != 1:
        raise InputError(f"{path}: must contain {START} … {END} exactly once, found {number}")
    with atomic_write(path) as temporary:
        temporary.write_text(new, encoding="utf-8")
