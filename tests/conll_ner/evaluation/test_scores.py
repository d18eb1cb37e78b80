"""Markdown tables of metrics."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from conll_ner.evaluation import scores as report
from conll_ner.evaluation import tables
from conll_ner.evaluation.runs import group_by_seed
from tests.conftest import ROOT


def split(f1: float, types: dict[str, float]) -> dict[str, Any]:
    def row(value: float) -> dict[str, float]:
        return {"precision": value, "recall": value, "f1": value, "support": 1}

    parts = {"overall": row(f1), "types": {name: row(value) for name, value in types.items()}}
    return {"conlleval": parts, "strict": parts, "token_accuracy": 0.5}


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    training = {
        "backbone": {"name": "minilm"},
        "config": "transition_ner",
        "seed": 3,
        "epochs": 2,
        "seconds": 1234.5,
        "hardware": "a machine",
        "versions": {"spacy": "3", "spacy-transformers": "1", "torch": "2"},
    }
    splits = {"dev": split(0.91234, {"PER": 0.5, "LOC": 1.0}), "test": split(0.25, {"LOC": 0.125})}
    splits["dev"]["f1_interval"] = [0.9011, 0.9222]
    splits["dev"] |= {"raw_text": 0.9, "lower_case": 0.8}
    splits["dev"]["f1_by"] = {"seen": {"seen": {"f1": 0.95}, "unseen": {"f1": 0.85}}}
    splits["dev"]["calibration"] = {"expected_calibration_error": 0.0123}
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"name": "run", "training": training, "splits": splits}))
    return path


TABLE = """\
| run | split | precision | recall | F1 | 95 % | F1 seen | F1 unseen | F1 raw text | F1 lower case \
| calibration error | F1 LOC | F1 PER | accuracy |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| run | dev | 91.23 | 91.23 | 91.23 | 90.11–92.22 | 95.00 | 85.00 | 90.00 | 80.00 \
| 1.23 | 100.00 | 50.00 | 50.00 |
| run | test | 25.00 | 25.00 | 25.00 |  |  |  |  |  |  | 12.50 | 0.00 | 50.00 |"""


MEANS_RULE = f"| --- | --- |{' ---: |' * 11}"


def test_report_table(metrics: Path) -> None:
    app = typer.Typer()
    app.command()(report.main)
    assert CliRunner().invoke(app, [str(metrics)]).stdout.strip() == TABLE
    # Evaluated without --training-record, as an imported checkpoint.
    run = json.loads(metrics.read_text()) | {"training": {}}
    metrics.write_text(json.dumps(run))
    assert tables.format_runs([run]).endswith("- `run`: no training record")
    assert CliRunner().invoke(app, [str(metrics)]).exit_code == 0
    result = CliRunner().invoke(app, ["missing.json"])
    assert result.exit_code == 1
    assert result.stderr == "Error: missing.json: no such file; run evaluate first\n"
    no_object = "run.json: not a JSON object; run evaluate first"
    incomplete = "run.json: name: field required; run evaluate again"
    for text, message in {"{": no_object, "[]": no_object, '{"dev": {}}': incomplete}.items():
        metrics.write_text(text)
        result = CliRunner().invoke(app, [str(metrics)])
        assert result.exit_code == 1
        assert message in result.stderr


def mark(view: str = "") -> str:
    return report.START.format(view and f": {view}")


def test_scores_fills_the_marked_blocks(metrics: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    blocks = "\n".join(f"{mark(view)}\nold\n{report.END}" for view in ("", "means"))
    readme.write_text(f"before\n{blocks}\nafter\n")
    for _ in range(2):
        report.main([metrics], [readme])
        text = readme.read_text()
        assert text.startswith(f"before\n{mark()}\n\n{TABLE}\n\n- `run`: backbone minilm")
        assert text.endswith(f"| accuracy |\n{MEANS_RULE}\n\n{report.END}\nafter\n")
    assert "seed 3, 2 epochs, 1,234 s on a machine (spacy 3, spacy-transformers 1, torch 2)" in text
    assert "old" not in text


def test_scores_published_pages_are_the_records(tmp_path: Path) -> None:
    """The tables of these pages are the output of `scores` from docs/results/*.json."""
    records = sorted((ROOT / "docs" / "results").glob("*.json"))
    assert len(records) >= 15
    for name in ("README.md", "docs/results.md", "docs/gpu.md"):
        copy = tmp_path / Path(name).name
        shutil.copyfile(ROOT / name, copy)
        report.main(records, [copy])
        assert copy.read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")


def test_scores_a_page_that_cant_be_filled_leaves_all_unchanged(
    metrics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text(f"{mark()}\n{report.END}")
    old = good.read_text()
    for text, message in (
        ("no marks", "must contain"),
        (f"{mark()}\nmine\n{mark('means')}\n{report.END}", "must contain pairs"),
        (f"{mark()}\n{report.END}\n{report.END}", "must contain pairs"),
        (f"{mark('speed')}\n{report.END}", "no view is called speed: runs, means, summary, gpu"),
    ):
        bad.write_text(text)
        with pytest.raises(SystemExit):
            report.main([metrics], [good, bad])
        assert message in capsys.readouterr().err
        assert (good.read_text(), bad.read_text()) == (old, text)
    with pytest.raises(SystemExit):
        report.main([metrics], [tmp_path / "none.md"])
    assert "none.md: no such file" in capsys.readouterr().err
    bad.write_bytes(b"\xff")
    with pytest.raises(SystemExit):
        report.main([metrics], [bad])
    assert "bad.md: not a page in UTF-8" in capsys.readouterr().err


def test_report_averages_seeds_of_equal_runs(metrics: Path) -> None:
    run = json.loads(metrics.read_text())
    runs = []
    for seed, f1 in ((0, 0.5), (1, 0.6), (2, 0.8)):
        splits = {"dev": split(f1, {"PER": 0.5})}
        training = run["training"] | {"seed": seed, "overrides": {"system.seed": seed}}
        runs.append({"name": f"s{seed}", "training": training, "splits": splits})
    other = json.loads(json.dumps(runs[0]))
    other["training"] |= {"seed": 3, "overrides": {"training.dropout": 0.5}}
    assert group_by_seed([*runs, other]) == [runs]
    assert group_by_seed([runs[0], other]) == []
    elsewhere = runs[0] | {"training": {}}
    assert group_by_seed([elsewhere, elsewhere]) == []
    assert group_by_seed([runs[0], runs[0]]) == []  # the same run twice
    # Mean 0.6333 and sample standard deviation 0.1528, by hand.
    (line,) = [x for x in tables.format_table([*runs, other]).splitlines() if "3 seeds" in x]
    value = "63.33 ± 15.28"
    unknown = " | ".join([""] * 6)
    types = "50.00 ± 0.00 | 50.00 ± 0.00"
    assert line == f"| s, 3 seeds | dev | {value} | {value} | {value} | {unknown} | {types} |"


def test_scores_summary_and_gpu_have_a_row_for_each_group(metrics: Path) -> None:
    run = json.loads(metrics.read_text())
    runs = []
    for name, f1, more in (
        ("a", 0.5, {}),
        ("b", 0.75, {"data_sha256": {"taught": "0"}, "peak_gpu_memory_mb": 4000}),
    ):
        for seed in (0, 1):
            splits = {"dev": split(f1, {}), "test": split(f1 / 2, {})}
            calibration = {"expected_calibration_error": 0.02}
            splits["test"] |= {"lower_case": 0.25, "calibration": calibration}
            memory = {"seconds_per_epoch": 20.4, "peak_memory_mb": 2000}
            backbone = {"name": f"backbone-{name}", "layers": 3}
            training = run["training"] | memory | more | {"seed": seed, "backbone": backbone}
            runs.append({"name": f"{name}-seed{seed}", "training": training, "splits": splits})
    zero = "25.00 ± 0.00 | 2.00 ± 0.00 |"
    assert tables.format_summary(runs).splitlines()[2:] == [
        f"| backbone-b, first 3 layers, taught | 75.00 ± 0.00 | 37.50 ± 0.00 | {zero}",
        f"| backbone-a, first 3 layers | 50.00 ± 0.00 | 25.00 ± 0.00 | {zero}",
    ]
    (row,) = tables.format_gpu(runs).splitlines()[2:]
    cells = ["75.00 ± 0.00", "37.50 ± 0.00", "20", "4,000", "2,000"]
    assert row == f"| backbone-b, first 3 layers, taught | a machine | {' | '.join(cells)} |"
