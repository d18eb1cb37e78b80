"""Tables from metrics."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import report


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
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"name": "run", "training": training, "splits": splits}))
    return path


TABLE = """\
| run | split | precision | recall | F1 | F1 LOC | F1 PER | accuracy |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| run | dev | 91.23 | 91.23 | 91.23 | 100.00 | 50.00 | 50.00 |
| run | test | 25.00 | 25.00 | 25.00 | 12.50 | 0.00 | 50.00 |"""


def test_report_table(metrics: Path) -> None:
    app = typer.Typer()
    app.command()(report.main)
    assert CliRunner().invoke(app, [str(metrics)]).stdout.strip() == TABLE
    result = CliRunner().invoke(app, ["missing.json"])
    assert result.exit_code == 1
    assert result.stderr == "Error: missing.json: no such file; run evaluate first\n"


def test_report_writes_between_the_marks_of_a_readme(metrics: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.main([metrics], readme)
        text = readme.read_text()
        assert text.startswith(f"before\n{report.START}\n\n{TABLE}\n\n- `run`: backbone minilm")
        assert text.endswith(f"{report.END}\nafter\n")
    assert "seed 3, 2 epochs, 1,234 s on a machine (spacy 3, spacy-transformers 1, torch 2)" in text
    assert "old" not in text


def test_report_readme_without_marks_stays(metrics: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks")
    with pytest.raises(SystemExit):
        report.main([metrics], readme)
    assert readme.read_text() == "no marks"
