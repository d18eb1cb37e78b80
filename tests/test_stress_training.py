"""Two trainings on one output at the same time."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy

from conll_ner.data.docs import read_gold, write_docs
from tests.conftest import ROOT, SAMPLE
from tests.conll_ner.training.test_train_resume import check_equal
from tests.stress_helpers import Process, complete

pytestmark = pytest.mark.stress


def test_two_trainings_on_one_output(
    python: Path,
    tiny_backbone: Path,
    tmp_path: Path,
    stress: int,
    record: Callable[[str, str, str], None],
) -> None:
    """Begun at any distance from each other: one of them ends with one line, unless the other has
    ended before, and the output is that of one training alone. If one is killed, the other still
    doesn't write; a third continues."""
    gold = read_gold(SAMPLE / "valid.txt", spacy.blank("en").vocab)
    write_docs(gold, tmp_path / "train.spacy")
    options = [
        *("--device", "cpu", "--training.max_epochs", 2, "--training.eval_frequency", 3),
        *("--paths.train", tmp_path / "train.spacy", "--paths.dev", tmp_path / "train.spacy"),
        *("--paths.backbone", tiny_backbone),
    ]
    command = ["-m", "spacy", "ner", "train", ROOT / "configs" / "token_ner.cfg"]
    whole, output = tmp_path / "whole", tmp_path / "out"
    start = time.monotonic()
    complete(python, [*command, whole, *options], tmp_path / "whole.log")
    seconds = time.monotonic() - start
    rng = random.Random(0)
    refused = 0
    for number in range(4 * stress):
        logs = [tmp_path / f"{name}.log" for name in ("first", "second")]
        first = Process(python, [*command, output, *options], logs[0])
        time.sleep(0 if number % 2 else rng.uniform(0, 1.5 * seconds))
        second = Process(python, [*command, output, *options], logs[1])
        if number % 4 == 3:
            time.sleep(rng.uniform(0, seconds))
            first.kill()
            second.wait()
            complete(python, [*command, output, *options], logs[0])
        else:
            codes = [first.wait(), second.wait()]
            assert codes in ([0, 0], [0, 1], [1, 0])
            for code, log in zip(codes, logs, strict=True):
                lines = log.read_text(encoding="utf-8").splitlines()
                message = f"Error: {output} is being written by another run; wait for it"
                assert code == 0 or lines == [message]
            refused += sum(codes)
        check_equal(output, whole)
    assert refused
    result = f"{refused} refused with one line; the output is as of one training alone"
    record("two trainings on one output", f"{4 * stress} times", result)
