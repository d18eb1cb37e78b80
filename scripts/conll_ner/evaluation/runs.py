"""Read the metrics of runs, and group runs that differ only in the seed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.common.files import read_json
from conll_ner.evaluation.metrics_schema import Metrics, Record, check_shape


def read_run(path: Path) -> dict[str, Any]:
    """RAISES (InputError): If the file is missing or wasn't written by evaluate."""
    run = read_json(path, "run evaluate first")
    check_shape(run, Metrics, path, "run evaluate again")
    return run


def read_record(path: Path, remedy: str) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The record of a training.
    RAISES (InputError): If the file isn't one. remedy: what to do then, for the message."""
    record = read_json(path, remedy)
    check_shape(record, Record, path, remedy)
    return record


def group_by_seed(runs: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """RETURNS (list[list[dict[str, Any]]]): Groups of two or more runs with the same backbone,
    config, overrides and scored files, and different seeds."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        training = run["training"]
        if "seed" not in training:  # trained elsewhere
            continue
        overrides = {
            name: value
            for name, value in training.get("overrides", {}).items()
            if name not in ("seed", "system.seed")
        }
        files = {name: scores.get("sha256") for name, scores in run["splits"].items()}
        same = [*(training.get(key) for key in ("backbone", "config", "epochs")), overrides, files]
        groups.setdefault(json.dumps(same, sort_keys=True), []).append(run)
    return [
        group
        for group in groups.values()
        if len({run["training"]["seed"] for run in group}) == len(group) > 1
    ]


def read_metrics(path: Path) -> dict[str, Any]:
    """RAISES (InputError): As read_run, or if there are no scores by document."""
    metrics = read_run(path)
    if not all("by_document" in scores for scores in metrics["splits"].values()):
        raise InputError(f"{path} has no scores by document; run evaluate again")
    return metrics
