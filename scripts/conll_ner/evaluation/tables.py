"""Format metrics as Markdown tables."""

import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from conll_ner.common.markdown import escape_markdown, join_rows
from conll_ner.evaluation.runs import group_by_seed

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
    return to_markdown(compare_runs(runs), 2)


def to_markdown(rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """RETURNS (str): A Markdown table. rows: the first one is the header. texts: how many columns,
    the first ones, aren't numbers."""
    header, *lines = ([escape_markdown(cell) for cell in row] for row in rows)
    marks = ["---:" if i >= texts else "---" for i in range(len(header))]
    return join_rows([header, marks, *lines])


def compare_runs(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """RETURNS (list[list[str]]): The cells of a header, of a row for each split of each run, and of
    the mean and standard deviation of runs that differ only in the seed. Columns, in percent: those
    of `row_values`, and the interval of F1 after F1."""
    return [*run_rows(runs), *mean_rows(runs)[1:]]


def run_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """RETURNS (list[list[str]]): The rows of `compare_runs` without means."""
    types = find_types(runs)
    lines = [make_header(types)]
    for run in runs:
        for name, scores in run["splits"].items():
            values = row_values(scores, types)
            cells = ["" if value is None else f"{100 * value:.2f}" for value in values]
            bounds = scores.get("f1_interval")
            interval = "–".join(f"{100 * bound:.2f}" for bound in bounds) if bounds else ""
            line = [run["name"], name, *cells]
            line.insert(INTERVAL, interval)
            lines.append(line)
    return lines


def mean_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """RETURNS (list[list[str]]): The rows of `compare_runs` that are means, under the header."""
    types = find_types(runs)
    lines = [make_header(types)]
    for group in group_by_seed(runs):
        for split in group[0]["splits"]:
            rows = [row_values(run["splits"][split], types) for run in group]
            line = [group_name(group), split, *map(format_mean, zip(*rows, strict=True))]
            line.insert(INTERVAL, "")
            lines.append(line)
    return lines


def find_types(runs: Sequence[dict[str, Any]]) -> list[str]:
    splits = [split for run in runs for split in run["splits"].values()]
    return sorted({type_ for split in splits for type_ in split["conlleval"]["types"]})


def make_header(types: Sequence[str]) -> list[str]:
    header = ["run", "split", *COLUMNS, *(f"F1 {type_}" for type_ in types), "accuracy"]
    header.insert(INTERVAL, "95 %")
    return header


def group_name(group: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): A run's name without its seed, and how many runs there are."""
    name = re.sub(r"[-_.]?(seed)?\d+$", "", group[0]["name"])
    return ", ".join([*filter(None, [name]), f"{len(group)} seeds"])


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


def name_backbone(training: dict[str, Any]) -> str:
    """RETURNS (str): The backbone of a training record, and how many of its layers."""
    backbone = training.get("backbone", {})
    return add_layers(backbone.get("name", "unknown"), backbone)


def describe_training(run: dict[str, Any]) -> str:
    """RETURNS (str): The settings, hardware and versions of a run."""
    training = run["training"]
    if not training.keys() >= TRAINING:  # as of an imported checkpoint
        return "no training record"
    versions = training["versions"]
    packages = ("spacy", "spacy-transformers", "torch")
    return (
        f"backbone {name_backbone(training)}, config {training['config']}, "
        f"seed {training['seed']}, {training['epochs']} epochs, "
        f"{training['seconds']:,.0f} s on {training['hardware']} "
        f"({', '.join(f'{package} {versions.get(package)}' for package in packages)})"
    )


def format_runs(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): The table of the runs, and a list item for each run."""
    items = [f"- `{run['name']}`: {escape_markdown(describe_training(run))}" for run in runs]
    return "\n".join([to_markdown(run_rows(runs), 2), "", *items])


def format_means(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): The table of means, without the columns that they have no values for."""
    rows = [[cell for i, cell in enumerate(row) if i != INTERVAL] for row in mean_rows(runs)]
    return to_markdown(rows, 2)


def format_summary(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): A row for each group of runs that differ only in the seed: F1 of each split,
    and on the last one, in lower case and calibration error; the most accurate first."""
    groups = sorted(group_by_seed(runs), key=last_f1, reverse=True)
    splits = list(dict.fromkeys(split for run in runs for split in run["splits"]))
    rows = [["", *(f"{split} F1" for split in splits), "in lower case", "calibration error"]]
    for group in groups:
        f1 = [mean_of(group, split, "F1") for split in splits]
        others = [mean_of(group, splits[-1], name) for name in ("F1 lower case", COLUMNS[-1])]
        rows.append([describe_model(group[0]), *f1, *others])
    return to_markdown(rows)


def format_gpu(runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): The summary of runs on a GPU, with seconds per epoch and memory."""
    measured = ("seconds_per_epoch", "peak_gpu_memory_mb", "peak_memory_mb")
    on_gpu = [run for run in runs if run["training"].keys() >= {*measured, "hardware"}]
    rows = [["", "GPU", "dev F1", "test F1", "s/epoch", "GPU MiB", "MiB"]]
    for group in sorted(group_by_seed(on_gpu), key=last_f1, reverse=True):
        values = [statistics.mean(run["training"][name] for run in group) for name in measured]
        f1 = [mean_of(group, split, "F1") for split in ("dev", "test")]
        hardware = group[0]["training"]["hardware"]
        rows.append([describe_model(group[0]), hardware, *f1, *(f"{v:,.0f}" for v in values)])
    return to_markdown(rows, 2)


def last_f1(group: Sequence[dict[str, Any]]) -> float:
    """RETURNS (float): The mean F1 of the last split."""
    splits = [list(run["splits"].values())[-1] for run in group]
    return float(statistics.mean(split["conlleval"]["overall"]["f1"] for split in splits))


def mean_of(group: Sequence[dict[str, Any]], split: str, column: str) -> str:
    """RETURNS (str): Mean and standard deviation of one of COLUMNS; empty if a run lacks it."""
    if not all(split in run["splits"] for run in group):
        return ""
    at = COLUMNS.index(column)
    return format_mean([row_values(run["splits"][split], ())[at] for run in group])


def describe_model(run: dict[str, Any]) -> str:
    """RETURNS (str): A run's backbone, how many of its layers, and whether it was taught."""
    training = run["training"]
    name = name_backbone(training)
    return f"{name}, taught" if "taught" in training.get("data_sha256", {}) else name


VIEWS: dict[str, Callable[[Sequence[dict[str, Any]]], str]] = {
    "runs": format_runs,
    "means": format_means,
    "summary": format_summary,
    "gpu": format_gpu,
}
