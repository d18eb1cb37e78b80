"""The command curve: growing parts, trained once each, in one table."""

import json
import sys
from pathlib import Path

import pytest
import spacy
import typer
from typer.testing import CliRunner, Result

from conll_ner.common.files import fresh_folder
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.training import curve
from tests.conftest import ROOT, SAMPLE

CONFIG = ROOT / "configs" / "transition_ner.cfg"
VOCAB = spacy.blank("en").vocab
app = typer.Typer()
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(curve.main)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])


@pytest.fixture
def paths(tmp_path: Path, tiny_backbone: Path) -> list[str]:
    gold = read_gold(SAMPLE / "train.txt", VOCAB)
    write_docs(gold[:8], tmp_path / "train.spacy")
    write_docs(gold[8:11], tmp_path / "dev.spacy")
    return [
        *("--paths.train", str(tmp_path / "train.spacy")),
        *("--paths.dev", str(tmp_path / "dev.spacy")),
        *("--paths.backbone", str(tiny_backbone)),
    ]


@pytest.fixture
def fast_commands(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that curve starts are forked, without the time of their imports."""
    monkeypatch.setattr(sys, "executable", str(python))


def test_curve_larger_parts_hold_smaller_ones(tmp_path: Path) -> None:
    gold = read_gold(SAMPLE / "train.txt", VOCAB)
    write_docs(gold, tmp_path / "train.spacy")
    found = {}
    numbers = curve.write_parts(tmp_path / "train.spacy", [1, 10, 50, 100], 0, tmp_path)
    for share, number in numbers.items():
        part = read_gold(tmp_path / f"{share}.spacy", VOCAB)
        found[share] = {doc.text for doc in part}
        assert number == len(part)
    texts = [doc.text for doc in gold]
    assert found[1] < found[10] < found[50] < found[100] == set(texts)
    assert len(found[1]) == 1
    assert len(found[50]) == round(len(texts) / 2)
    assert found[50] != set(texts[: len(found[50])])  # not the first ones


def test_curve_another_seed_draws_other_documents(tmp_path: Path) -> None:
    write_docs(read_gold(SAMPLE / "train.txt", VOCAB), tmp_path / "train.spacy")
    contents = []
    for seed in (0, 0, 1):
        curve.write_parts(tmp_path / "train.spacy", [20], seed, tmp_path)
        contents.append((tmp_path / "20.spacy").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_curve_is_a_table_in_markdown() -> None:
    first = {"share": 10, "documents": 1, "f1": 0.5, "f1_interval": None}
    second = {"share": 100, "documents": 1200, "f1": 0.91236, "f1_interval": [0.9, 0.925]}
    rows = [row | {"steps": 1234, "seconds": 9.6} for row in (first, second)]
    assert (
        curve.format_curve(rows)
        == """\
| share | documents | dev F1 | 95 % | updates | seconds |
| ---: | ---: | ---: | ---: | ---: | ---: |
| 10 % | 1 | 50.00 |  | 1,234 | 10 |
| 100 % | 1,200 | 91.24 | 90.00–92.50 | 1,234 | 10 |"""
    )


@pytest.mark.parametrize("shares", ["0,50", "101", "ten", "10,,50", "-5"])
def test_curve_refuses_shares_that_are_no_percentages(
    shares: str, paths: list[str], tmp_path: Path
) -> None:
    result = run(CONFIG, tmp_path / "parts", tmp_path / "curve.json", f"--shares={shares}", *paths)
    assert result.exit_code == 1
    assert "not percentages from 1 to 100" in result.stderr
    assert not (tmp_path / "parts").exists()


def test_curve_needs_train_and_dev_and_a_json_file(paths: list[str], tmp_path: Path) -> None:
    folder, output = tmp_path / "parts", tmp_path / "curve.json"
    result = run(CONFIG, folder, output, "--paths.train", tmp_path / "none.spacy")
    assert result.exit_code == 1
    assert "give --paths.train FILE" in result.stderr
    result = run(CONFIG, folder, tmp_path / "curve.md", *paths)
    assert result.exit_code == 1
    assert "curve.md must end in .json" in result.stderr
    assert not folder.exists()


def test_curve_keeps_what_somebody_has_in_its_folder(paths: list[str], tmp_path: Path) -> None:
    theirs = tmp_path / "parts" / "10.spacy"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    for folder in (theirs.parent, tmp_path):  # the second holds the training data
        result = run(CONFIG, folder, tmp_path.parent / "curve.json", *paths)
        assert result.exit_code == 1
        assert "contains" in result.stderr
    assert theirs.read_text() == "mine"
    assert not list(tmp_path.glob("*/100.spacy"))


@pytest.mark.slow
@pytest.mark.usefixtures("fast_commands")
def test_curve_trains_each_part_once(paths: list[str], tmp_path: Path) -> None:
    folder, output = tmp_path / "parts", tmp_path / "metrics" / "curve.json"
    settings = [*paths, "training.max_epochs=1", "--components.ner.model.hidden_width", 16]
    result = run(CONFIG, folder, output, "--shares", "100", *settings)
    assert result.exit_code == 0, result.output
    (whole,) = json.loads(output.read_text())
    metrics = json.loads((folder / "100.json").read_text())
    assert whole["f1"] == metrics["splits"]["dev"]["conlleval"]["overall"]["f1"]
    assert whole["documents"] == 8
    assert metrics["training"]["overrides"]["components.ner.model.hidden_width"] == 16
    assert spacy.load(folder / "100" / "model-best")
    trained = (folder / "100" / "run.json").stat().st_mtime_ns

    (folder / "100.json").unlink()  # as if it had been interrupted in the evaluation
    result = run(CONFIG, folder, output, "--shares", "100,25", *settings)
    assert result.exit_code == 0, result.output
    part, again = json.loads(output.read_text())
    assert (part["share"], part["documents"], again) == (25, 2, whole)
    assert part["steps"] < whole["steps"]
    assert (folder / "100" / "run.json").stat().st_mtime_ns == trained
    evaluated = (folder / "100.json").stat().st_mtime_ns

    # Another setting, of an earlier share alone: trained and evaluated again.
    result = run(CONFIG, folder, output, "--shares", "25", *settings, "--training.dropout", 0.2)
    assert result.exit_code == 0, result.output
    metrics = json.loads((folder / "25.json").read_text())
    assert metrics["training"]["overrides"]["training.dropout"] == 0.2
    assert (folder / "100.json").stat().st_mtime_ns == evaluated


@pytest.mark.slow
@pytest.mark.usefixtures("fast_commands")
def test_curve_says_which_command_failed(paths: list[str], tmp_path: Path) -> None:
    output = tmp_path / "curve.json"
    result = run(CONFIG, tmp_path / "parts", output, *paths, "nlp.pipeline=x")
    assert result.exit_code == 1
    assert "train ended with exit code 1" in result.stderr
    assert not output.exists()


@pytest.mark.parametrize("text", ["{", "[1]", '{"seed": []}', "[" * 100_000])
def test_curve_names_a_broken_record(text: str, paths: list[str], tmp_path: Path) -> None:
    fresh_folder(tmp_path / "parts")
    (tmp_path / "parts" / "100").mkdir()
    (tmp_path / "parts" / "100" / "run.json").write_text(text)
    result = run(CONFIG, tmp_path / "parts", tmp_path / "c.json", *paths, "--shares", "100")
    assert result.exit_code == 1
    assert f"{tmp_path / 'parts' / '100' / 'run.json'}: " in result.stderr
    assert result.stderr.endswith("; delete the file\n")
    assert len(result.stderr.splitlines()) == 1
