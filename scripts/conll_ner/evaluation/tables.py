"""Format metrics as Markdown tables."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write
from conll_ner.common.markdown import escape_markdown, join_rows
from conll_ner.evaluation.runs import group_by_seed

START = "<!-- RESULTS: AUTO-GENERATED START (spacy ner scores) -->"
END = "<!-- RESULTS: AUTO-GENERATED END -->"
# By conlleval's protocol; seen and unseen: mentions that are in the training data or not.
COLUMNS = (
    "precision",
    "recall",
    "F1",
    "F1 seen",
    "F1 unseen",
    "F1 raw text",
    "F1 lower case",
    "calibration error",
)
TRAINING = {"backbone", "config", "seed", "epochs", "seconds", "hardware", "versions"}
INTERVAL = 5  # column of the confidence interval, after F1


def format_table(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): The table of `compare_runs` in Markdown."""
    header, *rows = ([escape_markdown(cell) for cell in row] for row in compare_runs(runs))
    return join_rows([header, ["---", "---", *["---:"] * (len(header) - 2)], *rows])


def compare_runs(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """RETURNS (list[list[str]]): The cells of a header, of a row for each split of each run, and of
    the mean and standard deviation of runs that differ only in the seed. Columns, in percent: those
    of `row_values`, and the interval of F1 after F1."""
    types = sorted(
        {t for run in runs for split in run["splits"].values() for t in split["conlleval"]["types"]}
    )
    header = ["run", "split", *COLUMNS, *(f"F1 {type_}" for type_ in types), "accuracy"]
    header.insert(INTERVAL, "95 %")
    lines = [header]
    for run in runs:
        for name, scores in run["splits"].items():
            values = row_values(scores, types)
            cells = ["" if value is None else f"{100 * value:.2f}" for value in values]
            bounds = scores.get("f1_interval")
            interval = "–".join(f"{100 * bound:.2f}" for bound in bounds) if bounds else ""
            line = [run["name"], name, *cells]
            line.insert(INTERVAL, interval)
            lines.append(line)
    for group in group_by_seed(runs):
        lines += mean_rows(group, types)
    return lines


def mean_rows(group: Sequence[dict[str, Any]], types: Sequence[str]) -> list[list[str]]:
    """RETURNS (list[list[str]]): For each split, the cells of the mean and standard deviation of
    runs."""
    lines = []
    for name in group[0]["splits"]:
        rows = [row_values(run["splits"][name], types) for run in group]
        line = [f"{len(group)} seeds", name, *map(format_mean, zip(*rows, strict=True))]
        line.insert(INTERVAL, "")
        lines.append(line)
    return lines


def format_mean(values: Sequence[float | None]) -> str:
    """RETURNS (str): Mean and standard deviation in percent; empty if a value is missing."""
    known = [100 * value for value in values if value is not None]
    if len(known) < len(values):
        return ""
    return f"{statistics.mean(known):.2f} ± {statistics.stdev(known):.2f}"


def row_values(scores: dict[str, Any], types: Sequence[str]) -> list[float | None]:
    """RETURNS (list[float | None]): The values of COLUMNS, F1 of each type, and token accuracy,
    from 0 to 1; None for what wasn't measured."""
    overall, by_type = scores["conlleval"]["overall"], scores["conlleval"]["types"]
    seen = scores.get("f1_by", {}).get("seen", {})
    calibration = scores.get("calibration") or {}
    return [
        *(overall[key] for key in ("precision", "recall", "f1")),
        *(seen.get(name, {}).get("f1") for name in ("seen", "unseen")),
        *(scores.get(name) for name in ("raw_text", "lower_case")),
        calibration.get("expected_calibration_error"),
        *(by_type.get(t, {"f1": 0.0})["f1"] for t in types),
        scores["token_accuracy"],
    ]


def add_layers(name: str, backbone: dict[str, Any]) -> str:
    """RETURNS (str): A backbone's name, with the number of its layers if only the first were kept.
    backbone: its source.json."""
    return f"{name}, first {backbone['layers']} layers" if "layers" in backbone else name


def format_training(run: dict[str, Any]) -> str:
    """RETURNS (str): A Markdown list item with the settings, hardware and versions of a run."""
    training = run["training"]
    if not training.keys() >= TRAINING:  # as of an imported checkpoint
        return f"- `{run['name']}`: no training record"
    versions = training["versions"]
    backbone = add_layers(training["backbone"].get("name", "unknown"), training["backbone"])
    packages = ("spacy", "spacy-transformers", "torch")
    return (
        f"- `{run['name']}`: backbone {backbone}, config "
        f"`{training['config']}`, seed {training['seed']}, {training['epochs']} epochs, "
        f"{training['seconds']:,.0f} s on {training['hardware']} "
        f"({', '.join(f'{package} {versions.get(package)}' for package in packages)})"
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
