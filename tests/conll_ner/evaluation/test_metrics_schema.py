"""Broken metrics and training records are one line that names the field."""

import json
from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from conll_ner.evaluation.runs import read_metrics, read_record, read_run
from tests.conftest import ROOT

ROW = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
SCORES = {
    "conlleval": {"overall": ROW, "types": {"PER": ROW}},
    "token_accuracy": 0.5,
    "by_document": [[1, 2, 3]],
}
METRICS: dict[str, Any] = {"name": "run", "training": {}, "splits": {"dev": SCORES}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"splits": [1]}, "splits: input should be a valid dictionary"),
        ({"splits": {}}, "splits: dictionary should have at least 1 item"),
        ({"splits": {"dev": {}}}, "splits.dev.conlleval: field required"),
        ({"splits": {"dev": SCORES | {"by_document": 3}}}, "splits.dev.by_document: input should"),
        ({"splits": {"dev": SCORES | {"by_document": [[1]]}}}, "splits.dev.by_document.0"),
        ({"splits": {"dev": SCORES | {"token_accuracy": float("nan")}}}, "token_accuracy"),
        ({"training": [1]}, "training: input should be a valid dictionary"),
        ({"training": {"backbone": "x"}}, "training.backbone: input should be a valid dictionary"),
        ({"name": None}, "name: input should be a valid string"),
    ],
)
def test_broken_metrics_are_one_line(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(METRICS))
    assert read_run(path) == METRICS
    path.write_text(json.dumps(METRICS | change))
    with pytest.raises(InputError) as error:
        read_run(path)
    assert f"{path}: " in str(error.value)
    assert problem in str(error.value)
    assert str(error.value).endswith("; run evaluate again")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "[1]", '"x"', "[" * 100_000, "\x00", '{"seed": []}', '{"versions": {"spacy": 3}}']
)
def test_broken_training_records_are_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json: .*; do this") as error:
        read_record(tmp_path / "run.json", "do this")
    assert len(str(error.value).splitlines()) == 1


def test_published_results_are_metrics() -> None:
    found = sorted((ROOT / "docs" / "results").glob("*-seed*.json"))
    assert found
    for path in found:
        assert read_metrics(path)["training"]["seed"] in range(10)
