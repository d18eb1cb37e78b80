"""The command curve: growing parts, trained once each, in one table."""

import json
from pathlib import Path

import pytest
import spacy
import typer
from typer.testing import CliRunner, Result

import curve
from corpus.docs import read_gold, write_docs
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


def test_curve_larger_parts_hold_smaller_ones(tmp_path: Path) -> None:
    gold = read_gold(SAMPLE / "train.txt", VOCAB)
    write_docs(gold, tmp_path / "train.spacy")
    found = {}
    for share in (1, 10, 50, 100):
        curve.write_part(tmp_path / "train.spacy", share, 0, tmp_path / "part.spacy")
        found[share] = {doc.text for doc in read_gold(tmp_path / "part.spacy", VOCAB)}
    texts = [doc.text for doc in gold]
    assert found[1] < found[10] < found[50] < found[100] == set(texts)
    assert len(found[1]) == 1
    assert len(found[50]) == round(len(texts) / 2)
    assert found[50] != set(texts[: len(found[50])])  # not the first ones


def test_curve_another_seed_draws_other_documents(tmp_path: Path) -> None:
    write_docs(read_gold(SAMPLE / "train.txt", VOCAB), tmp_path / "train.spacy")
    contents = []
    for seed in (0, 0, 1):
        curve.write_part(tmp_path / "train.spacy", 20, seed, tmp_path / "part.spacy")
        contents.append((tmp_path / "part.spacy").read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize("shares", ["0,50", "101", "ten", "10,,50", "-5"])
def test_curve_refuses_shares_that_are_no_percentages(
    shares: str, paths: list[str], tmp_path: Path
) -> None:
    result = run(CONFIG, tmp_path / "curve", f"--shares={shares}", *paths)
    assert result.exit_code == 1
    assert "not percentages from 1 to 100" in result.stderr
    assert not (tmp_path / "curve").exists()


def test_curve_needs_train_and_dev(tmp_path: Path) -> None:
    result = run(CONFIG, tmp_path / "curve", "--paths.train", tmp_path / "none.spacy")
    assert result.exit_code == 1
    assert "give --paths.train FILE" in result.stderr


@pytest.mark.slow
def test_curve_trains_each_part_once(paths: list[str], tmp_path: Path) -> None:
    output = tmp_path / "curve"
    settings = [*paths, "training.max_epochs=1", "--components.ner.model.hidden_width", 16]
    result = run(CONFIG, output, "--shares", "100", *settings)
    assert result.exit_code == 0, result.output
    (whole,) = json.loads((output / "curve.json").read_text())
    metrics = json.loads((output / "100.json").read_text())
    assert whole["f1"] == metrics["splits"]["dev"]["conlleval"]["overall"]["f1"]
    assert metrics["training"]["overrides"]["components.ner.model.hidden_width"] == 16
    assert spacy.load(output / "100" / "model-best")
    trained = (output / "100" / "run.json").stat().st_mtime_ns

    result = run(CONFIG, output, "--shares", "100,25", *settings)
    assert result.exit_code == 0, result.output
    part, again = json.loads((output / "curve.json").read_text())
    assert (part["share"], again) == (25, whole)
    assert part["steps"] < whole["steps"]
    assert (output / "100" / "run.json").stat().st_mtime_ns == trained


@pytest.mark.slow
def test_curve_says_which_command_failed(paths: list[str], tmp_path: Path) -> None:
    result = run(CONFIG, tmp_path / "curve", *paths, "training.max_epochs=none")
    assert result.exit_code == 1
    assert "train.py ended with exit code 1" in result.stderr
    assert not (tmp_path / "curve" / "curve.json").exists()
