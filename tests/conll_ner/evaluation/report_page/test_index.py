"""The index of runs."""

import json
from pathlib import Path
from typing import Any

from conll_ner.evaluation.report_page.index import find_runs, group_by_files, render_index
from tests.conftest import ROOT


def make_run(name: str, f1: float, sha256: str = "a") -> dict[str, Any]:
    row = {"precision": f1, "recall": f1, "f1": f1, "support": 1}
    parts = {"overall": row, "types": {"<b>": row}}
    split = {"conlleval": parts, "token_accuracy": 0.5, "sha256": sha256}
    return {"name": name, "training": {}, "splits": {"test": split}}


def names(runs: list[dict[str, Any]]) -> list[str]:
    return [run["name"] for run in runs]


def test_index_compares_only_runs_on_the_same_files() -> None:
    runs = [make_run("a", 0.5), make_run("b", 0.9, "other"), make_run("c", 0.7)]
    assert list(map(names, group_by_files(runs))) == [["c", "a"], ["b"]]


def test_index_finds_runs_and_names_other_files(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "renamed.json").write_text(json.dumps(make_run("a", 0.5)))
    (tmp_path / "broken.json").write_text("{")
    assert names(find_runs(tmp_path)) == ["renamed"]
    assert "broken.json: not a JSON object" in " ".join(capsys.readouterr().out.split())


def test_index_links_the_reports_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "report.html").touch()
    page = render_index([make_run("a b", 0.5), make_run("<i>", 0.7)], tmp_path)
    assert '<a href="a%20b/report.html">a b</a>' in page
    assert page.count("<a ") == 1
    assert "&lt;i&gt;" in page  # names and types are text
    assert "F1 &lt;b&gt;" in page
    assert "<i>" not in page


def test_index_shows_published_results() -> None:
    folder = ROOT / "docs" / "results"
    page = render_index(find_runs(folder), folder)
    for shown in ("mpnet-seed0", "minilm, first 3 layers", "3 seeds"):
        assert shown in page
