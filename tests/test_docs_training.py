"""The pages of docs/ that train: every block runs, in a copy of the project."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, SAMPLE, SHORT, SMALL
from tests.docs_helpers import execute, run_blocks, runnable
from tests.hf_helpers import make_checkpoint
from tests.project_helpers import ALL, steps

pytestmark = pytest.mark.slow


def test_project_every_block_runs(project: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    """On the sample corpus; `roberta-base` is a folder here, with random weights."""
    make_checkpoint(project / "roberta-base", family="roberta")
    shutil.copytree(SAMPLE, tmp_path / "home" / "conll2003")
    lines = [
        line for _, code in runnable(ROOT / "docs" / "project.md") for line in code.splitlines()
    ]
    plain, own_corpus, roberta, minilm = lines

    def run_line(line: str, overrides: str) -> tuple[str, tuple[list[str], list[str]]]:
        home = str(tmp_path / "home")
        printed = run_blocks(
            project, [("bash", line)], WEASEL_CONFIG_OVERRIDES=overrides, HOME=home
        )
        metrics = json.loads((project / "metrics" / "token_ner.json").read_text(encoding="utf-8"))
        return metrics["training"]["backbone"]["name"], steps(printed)

    # What the first and the last ask for is there: the sample corpus and the small backbone.
    assert run_line(plain, SMALL) == ("minilm", ([], ALL))
    assert run_line(minilm, SHORT) == ("minilm", ([], ALL))
    # A corpus that isn't in assets/ yet is taken from the folder that is named.
    tiny = f"{SHORT} --vars.corpus mine --vars.backbone {tiny_backbone}"
    assert run_line(own_corpus, tiny) == (str(tiny_backbone), (ALL, []))
    assert (project / "assets" / "mine" / "train.txt").is_file()
    assert run_line(roberta, SHORT) == ("roberta-base", (ALL, []))


def test_results_every_block_runs(project: Path, tiny_backbone: Path) -> None:
    # Random weights need a high learning rate to find anything.
    tiny = f"{SHORT} --vars.backbone {tiny_backbone} --vars.epochs 3 --vars.learn_rate 5e-3"
    found = runnable(ROOT / "docs" / "results.md")
    printed = run_blocks(project, found, WEASEL_CONFIG_OVERRIDES=tiny)
    assert "| minilm6, 3 seeds | test |" in printed
    for seed in range(3):
        metrics = json.loads((project / "metrics" / f"minilm6-seed{seed}.json").read_text())
        assert metrics["training"]["seed"] == seed
        assert metrics["splits"]["test"]["conlleval"]["overall"]["f1"] > 0


def test_huggingface_every_block_runs(project: Path, tiny_backbone: Path) -> None:
    # hf_train's own scores are of gold sentences; and of the better of two epochs. Random weights
    # need a high learning rate.
    recipe = (
        f"{SHORT} --vars.backbone {tiny_backbone} --vars.sentences gold --vars.epochs 2 "
        "--vars.learn_rate 5e-3"
    )
    found = runnable(ROOT / "docs" / "huggingface.md")
    run_blocks(project, found, WEASEL_CONFIG_OVERRIDES=recipe)
    check_recipe(project)
    assert (project / "exported" / "model.safetensors").is_file()
    check_report_of_recipe(project, recipe)
    python = str(project / ".venv" / "bin" / "python")
    evaluated = [
        "-m",
        "spacy",
        "ner",
        "evaluate",
        "training/imported",
        "mine/valid.txt",
        "--device",
        "cpu",
    ]
    assert "all (conlleval)" in execute(project, [python, *evaluated])
    both = ["metrics/token_ner.json", "metrics/hf.json"]
    assert "difference" in execute(project, [python, "-m", "spacy", "ner", "compare", *both])
    assert "| hf | test |" in execute(project, [python, "-m", "spacy", "ner", "scores", *both])


def check_recipe(project: Path) -> None:
    """The recipe's checkpoint and the pipeline made of it have the same scores."""
    metrics = json.loads((project / "metrics" / "hf.json").read_text(encoding="utf-8"))
    assert metrics["training"]["config"] == "hf"
    log = (project / "training" / "hf" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    best = max(map(json.loads, log), key=lambda row: row["f1"])
    dev = metrics["splits"]["dev"]
    # By wordpiece and argmax the same, but for bfloat16; legal sequences can only be near.
    assert dev["wordpiece"]["f1"] == pytest.approx(best["scores"]["wordpiece_f1"], abs=0.01)
    assert dev["conlleval"]["overall"]["f1"] == pytest.approx(best["f1"], abs=0.1)
    assert best["f1"] > 0
    assert (project / "metrics" / "token_ner" / "install.json").is_file()


def check_report_of_recipe(project: Path, overrides: str) -> None:
    """Its scores are there already, and the page draws its log."""
    python = str(project / ".venv" / "bin" / "python")
    command = [python, "-m", "spacy", "project", "run", "report", ".", "--vars.run", "hf"]
    printed = execute(project, command, WEASEL_CONFIG_OVERRIDES=overrides)
    assert steps(printed) == (["robustness", "page"], ["evaluate"])
    report = (project / "metrics" / "hf" / "report.html").read_text(encoding="utf-8")
    assert 'id="chart-training-f1"' in report
    assert "F1 by wordpiece" in report
