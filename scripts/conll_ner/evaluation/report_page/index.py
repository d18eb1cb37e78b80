"""The page that compares runs, with links to their reports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from conll_ner.common.console import InputError, msg
from conll_ner.evaluation.report_page.templates import render
from conll_ner.evaluation.runs import read_run
from conll_ner.evaluation.tables import add_layers, compare_runs

REPORT = "report.html"


def find_runs(folder: Path) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The metrics in a folder, by name. Other files are named on
    the terminal."""
    runs = []
    for path in sorted(folder.glob("*.json")):
        try:
            runs.append(read_run(path) | {"name": path.stem})
        except InputError as error:
            msg.warn(f"left out of the index: {error}")
    return runs


def group_by_files(runs: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """RETURNS (list[list[dict[str, Any]]]): The runs that were scored on the same files, the best
    first: other files make other scores."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        files = ((name, scores.get("sha256")) for name, scores in run["splits"].items())
        groups.setdefault(tuple(files), []).append(run)
    return [sorted(group, key=last_f1, reverse=True) for group in groups.values()]


def last_f1(run: dict[str, Any]) -> float:
    """RETURNS (float): F1 on the last split, which is test if there is one."""
    *_, scores = run["splits"].values()
    return float(scores["conlleval"]["overall"]["f1"])


def describe_run(run: dict[str, Any], folder: Path) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The fields of a run's row. folder: of the index."""
    training = run["training"]
    backbone = training.get("backbone", {})
    report = folder / run["name"] / REPORT
    return {
        "name": run["name"],
        "link": f"{quote(run['name'])}/{REPORT}" if report.is_file() else None,
        "splits": run["splits"],
        "backbone": add_layers(backbone.get("name", ""), backbone),
        **{key: training.get(key) for key in ("config", "seed", "epochs", "seconds", "hardware")},
    }


def render_index(runs: Sequence[dict[str, Any]], folder: Path) -> str:
    """RETURNS (str): The page. folder: where it will be; reports are in the runs' folders there."""
    groups = [
        {
            "rows": [describe_run(run, folder) for run in group],
            "table": compare_runs(group),
            "files": [scores.get("file", name) for name, scores in group[0]["splits"].items()],
        }
        for group in group_by_files(runs)
    ]
    return render("index.html.jinja", groups=groups)
