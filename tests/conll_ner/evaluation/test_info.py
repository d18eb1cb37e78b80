"""What is installed, and what a pipeline is."""

import json
import shutil
from importlib.metadata import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conll_ner.cli import app
from conll_ner.common import console
from conll_ner.common.console import DISTRIBUTION
from conll_ner.evaluation import info


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["info", *map(str, arguments), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_extra_is_explained() -> None:
    extras = set(metadata(DISTRIBUTION).get_all("Provides-Extra", []))
    assert extras - {"dev"} == info.EXTRAS.keys()


def test_versions_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(_: str) -> list[str]:
        return [
            'numpy>=999; extra == "serve"',
            'nowhere; extra == "slim"',
            'pip; extra == "parquet"',
        ]

    monkeypatch.setattr(console, "requires", requires)
    printed = run()
    assert "spacy:" in printed
    assert 'numpy, for serve: pip install "conll-ner[serve]"' in printed
    assert 'nowhere, for slim pipelines: pip install "conll-ner[slim]"' in printed
    assert "[parquet]" not in printed


def test_a_pipelines_labels_calibration_promise_and_scores(pipeline: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(pipeline, folder)
    assert "calibration: none: run spacy ner calibrate" in " ".join(run(folder).split())
    cfg, meta = folder / "token_ner" / "cfg", folder / "meta.json"
    calibration = {"slope": 0.5, "intercept": 0.25, "unseen": -1.0, "seen": ""}
    settings = json.loads(cfg.read_text()) | {"calibration": calibration, "threshold": 0.25}
    cfg.write_text(json.dumps(settings))
    promise = {"level": 0.95, "confidence": 0.9, "least": 0.25, "share": 0.96, "gold": "dev.spacy"}
    promise |= {"documents": 200, "date": "2026-01-01"}
    scores = {"ents_f": 0.875, "token_ner_loss": 1.5}
    fields = json.loads(meta.read_text()) | {"promises": {"precision": promise}}
    meta.write_text(json.dumps(fields | {"performance": scores}))
    printed = " ".join(run(folder).split())
    for line in (
        "components: sentencizer, transformer, token_ner",
        "runtime: torch, ",
        "token_ner.labels: LOC, ",
        "token_ner.threshold: 0.25",
        "token_ner.calibration: slope 0.5, intercept 0.25, -1 for texts other than 0",
        "precision promise: a precision of 95 %, kept by 90 % of samples of 200 documents",
        "scores: ents_f 0.875",
    ):
        assert line in printed
    assert "loss" not in printed


def test_what_is_no_pipeline_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tmp_path), "--device", "cpu"])
    assert result.exit_code == 1
    assert "is not a pipeline" in result.output
    assert "spacy:" in result.output  # a bug report has the versions all the same
