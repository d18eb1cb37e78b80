"""The recipe on Accelerate: scores, checkpoints, resuming."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from typer import Typer
from typer.testing import CliRunner

from conll_ner.common.files import fresh_folder
from conll_ner.common.overwriting import MARK
from conll_ner.common.training_log import read_log
from conll_ner.data.wordpiece_labels import encode, read_sentences, score
from conll_ner.huggingface.hf_train import main
from tests.conftest import SAMPLE
from tests.stress_helpers import Process, full_disk

COMMAND = ["-m", "spacy", "ner", "hf-train"]
runner = CliRunner()
app = Typer()
app.command()(main)


def invoke(*arguments: object) -> Any:
    return runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def corpus(tmp_path: Path, tiny_file: Path) -> Path:
    """train.txt and valid.txt, with the same five mentions."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("train", "valid"):
        (folder / f"{name}.txt").write_bytes(tiny_file.read_bytes())
    return folder


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "last" / "model.safetensors")


def score_alone(checkpoint: Path, file: Path) -> dict[str, float]:
    """RETURNS (dict[str, float]): The checkpoint's scores, from one sentence at a time."""
    model = transformers.AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    encoded = [encode(s, tokenizer, model.config.label2id) for s in read_sentences(file)]
    rows = []
    for sentence in encoded:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([sentence["input_ids"]])).logits
        rows.append(logits[0].argmax(-1).numpy())
    return score(rows, encoded, names)


@pytest.mark.slow
def test_train_learns_and_saves_checkpoints(
    tiny_backbone: Path, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    result = invoke(
        corpus, tiny_backbone, output, "--epochs", 60, "--learn-rate", 0.005, "--batch-size", 2
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in output.iterdir()) == [
        MARK,
        "best",
        "last",
        "log.jsonl",
        "run.json",
        "settings.json",
    ]
    log = read_log(output / "log.jsonl")
    assert [row.epoch for row in log] == list(range(1, 61))
    assert log[-1].step == 60 * 2  # three sentences in batches of two
    assert log[-1].f1 == log[-1].scores["word_f1"] == log[-1].scores["wordpiece_f1"] == 1.0
    losses = [row.loss for row in log if row.loss is not None]
    assert len(losses) == 60
    assert losses[-1] < 0.1 < losses[0]
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    assert (run["best_dev_f"], run["processes"], run["epochs"]) == (1.0, 1, 60)
    for name in ("best", "last"):
        assert score_alone(output / name, corpus / "valid.txt")["word_f1"] == 1.0


@pytest.mark.parametrize("labels", ["all", "first"])
def test_train_logs_the_checkpoints_own_scores(
    tiny_backbone: Path, corpus: Path, tmp_path: Path, labels: str
) -> None:
    """Batching, padding and gathering don't change the scores. With --labels first, only scores by
    word are defined: other wordpieces are not trained."""
    arguments = ("--epochs", 8, "--learn-rate", 0.005, "--batch-size", 2, "--labels", labels)
    output = tmp_path / "out"
    assert invoke(corpus, tiny_backbone, output, *arguments).exit_code == 0
    (row,) = read_log(output / "log.jsonl")[-1:]
    expected = score_alone(output / "last", corpus / "valid.txt")
    units = ["word", "wordpiece"] if labels == "all" else ["word"]
    for unit in units:
        for measure in ("precision", "recall", "f1", "accuracy"):
            assert row.scores[f"{unit}_{measure}"] == pytest.approx(expected[f"{unit}_{measure}"])


def test_train_keeps_the_best_epoch(tiny_backbone: Path, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    # At this learning rate, scores go up and down.
    result = invoke(corpus, tiny_backbone, output, "--epochs", 12, "--learn-rate", 0.05)
    assert result.exit_code == 0, result.output
    log = read_log(output / "log.jsonl")
    best = max(row.f1 for row in log)
    assert score_alone(output / "best", corpus / "valid.txt")["word_f1"] == pytest.approx(best)


@pytest.mark.slow
def test_train_killed_and_resumed_gives_the_same_weights(
    python: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    arguments = [str(SAMPLE), str(tiny_backbone)]
    options = ["--epochs", "3", "--learn-rate", "0.001", "--warmup", "0.1"]
    assert invoke(*arguments, tmp_path / "whole", *options).exit_code == 0
    partial = tmp_path / "killed.partial"
    command = [*COMMAND, *arguments, tmp_path / "killed", *options]
    process = Process(python, command, tmp_path / "killed.log")
    deadline = time.monotonic() + 120
    while not (partial / "state-1").is_dir() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert (partial / "state-1").is_dir()
    assert not (tmp_path / "killed").exists()
    assert len(read_log(partial / "log.jsonl")) < 3
    result = invoke(*arguments, tmp_path / "killed", *options, "--resume")
    assert result.exit_code == 0, result.output
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    timeless = [
        [replace(row, seconds=0, training_seconds=0) for row in read_log(output / "log.jsonl")]
        for output in (tmp_path / "whole", tmp_path / "killed")
    ]
    assert timeless[0] == timeless[1]


def two_processes(*arguments: object) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*launch, *COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_train_with_two_processes(tmp_path: Path, tiny_backbone: Path) -> None:
    """Two processes see the same batches, with different dropout. The gathered scores are those of
    the checkpoint: every sentence counts once, in order."""
    options = ["--epochs", "3", "--learn-rate", "0.001", "--batch-size", "8"]
    arguments = [str(SAMPLE), str(tiny_backbone)]
    two_processes(*arguments, tmp_path / "two", *options)
    assert invoke(*arguments, tmp_path / "one", *options).exit_code == 0
    one, two = (read_log(tmp_path / name / "log.jsonl") for name in ("one", "two"))
    assert [row.step for row in one] == [row.step for row in two]
    run = json.loads((tmp_path / "two" / "run.json").read_text(encoding="utf-8"))
    assert run["processes"] == 2
    expected = score_alone(tmp_path / "two" / "last", SAMPLE / "valid.txt")
    for key, value in expected.items():
        assert two[-1].scores[key] == pytest.approx(value)


@pytest.mark.slow
def test_train_with_two_processes_is_the_same_training(tmp_path: Path, tiny_backbone: Path) -> None:
    """Without dropout and with full batches, one and two processes differ by rounding only."""
    backbone = tmp_path / "backbone"
    shutil.copytree(tiny_backbone, backbone)
    config = json.loads((backbone / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (backbone / "config.json").write_text(json.dumps(config), encoding="utf-8")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("train", "valid"):
        shutil.copy(SAMPLE / "valid.txt", corpus / f"{name}.txt")
    options = ["--epochs", "3", "--learn-rate", "0.001", "--batch-size", "6"]  # of 138 sentences
    two_processes(corpus, backbone, tmp_path / "two", *options)
    assert invoke(corpus, backbone, tmp_path / "one", *options).exit_code == 0
    one, two = (read_log(tmp_path / name / "log.jsonl") for name in ("one", "two"))
    assert [row.loss for row in two] == pytest.approx([row.loss for row in one], rel=1e-4)
    for row, other in zip(one, two, strict=True):
        assert other.scores["wordpiece_accuracy"] == pytest.approx(
            row.scores["wordpiece_accuracy"], abs=0.002
        )


def test_train_reports_invalid_input(tiny_backbone: Path, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "empty").mkdir()
    text = (corpus / "train.txt").read_text(encoding="utf-8")
    (other / "train.txt").write_text(text.replace("-ORG", "-LOC"), encoding="utf-8")
    (other / "valid.txt").write_text(text, encoding="utf-8")
    silent = shutil.copytree(other, tmp_path / "silent")
    (silent / "valid.txt").write_text("Ada O\n", encoding="utf-8")
    for arguments, message in [
        ((silent, tiny_backbone, output), "valid.txt has no mention: there is nothing to score"),
        ((tmp_path / "empty", tiny_backbone, output), "no file for train; run convert first"),
        ((corpus, tmp_path / "empty", output), "config.json: no such file"),
        ((other, tiny_backbone, output), "types without an example in train: ORG"),
        (
            (corpus, tiny_backbone, output, "--labels", "some"),
            "--labels must be all or first, not some",
        ),
        ((corpus, tiny_backbone, tmp_path / "new", "--resume"), "no training to resume"),
    ]:
        result = invoke(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not output.exists()


def test_train_resumes_only_with_the_same_settings(
    tiny_backbone: Path, corpus: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "out.partial"
    partial.mkdir()
    settings = {"epochs": 3, "batch_size": 8, "learn_rate": 1e-3}
    (partial / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    result = invoke(corpus, tiny_backbone, tmp_path / "out", "--resume")
    assert result.exit_code == 1
    assert "out.partial was trained with other settings (learn_rate was 0.001" in result.stderr


@pytest.mark.parametrize("device", ["7", "gpu"])
def test_train_on_an_unknown_device_is_an_error(
    device: str, tiny_backbone: Path, corpus: Path, tmp_path: Path
) -> None:
    result = invoke(corpus, tiny_backbone, tmp_path / "out", "--device", device)
    assert result.exit_code == 1
    assert f"--device {device} is not auto, cpu or the number of one of" in result.stderr
    assert not (tmp_path / "out.partial").exists()


def test_train_on_a_full_disk_keeps_the_previous_checkpoint(
    tiny_backbone: Path, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    fresh_folder(output)
    (output / "best").mkdir()
    (output / "best" / "old").write_text("old", encoding="utf-8")
    with full_disk():
        result = invoke(corpus, tiny_backbone, output)
    assert result.exit_code == 1, result.stderr
    assert "can't be written" in result.stderr
    assert (output / "best" / "old").read_text(encoding="utf-8") == "old"
