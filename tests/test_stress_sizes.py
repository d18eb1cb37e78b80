"""Single documents of any length: time and memory, for the table of docs/reliability.md."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import read_gold, write_docs
from tests.conftest import SAMPLE

pytestmark = pytest.mark.stress
Record = Callable[[str, str, str], None]
MAX_LENGTH = 1_000_000  # spaCy's default: the most characters of a text


def measure(*arguments: object) -> str:
    """Run a command of the toolkit, which has to succeed.

    RETURNS (str): Its CPU time and its peak memory.
    """
    command = [sys.executable, "-m", "spacy", "ner", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds = usage.ru_utime + usage.ru_stime
    return f"{seconds:.0f} s of CPU time, {usage.ru_maxrss / 1024:,.0f} MiB"


@pytest.mark.parametrize("words", [10_000, 100_000])
def test_training_on_one_long_document(
    trained: Path, tmp_path: Path, record: Record, words: int
) -> None:
    corpus = read_gold(SAMPLE / "train.txt", Vocab())
    for doc in corpus:
        doc.user_data.clear()
    many = -(-words // (sum(map(len, corpus)) // len(corpus)))
    long = Doc.from_docs(list(islice(cycle(corpus), many)))
    assert long is not None and len(long) > 0.95 * words
    write_docs([long], tmp_path / "train.spacy")
    write_docs(read_gold(SAMPLE / "valid.txt", Vocab()), tmp_path / "dev.spacy")
    config, backbone = trained / "configs" / "token_ner.cfg", trained / "assets" / "backbone"
    paths = ("train", tmp_path / "train.spacy"), ("dev", tmp_path / "dev.spacy")
    options = ["--device", "cpu"]
    options += [part for name, path in paths for part in (f"--paths.{name}", str(path))]
    options += ["--paths.backbone", str(backbone), "--training.max_epochs", "1"]
    result = measure("train", config, tmp_path / "out", *options)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert 0 < run["best_dev_f"] < 1
    record(f"training, MiniLM, {run['steps']} steps", f"1 document of {len(long):,} words", result)


@pytest.mark.parametrize("kind", ["torch", "slim"])
@pytest.mark.parametrize("words", [20_000, 200_000])
def test_prediction_on_one_long_document(
    trained: Path, tmp_path: Path, record: Record, words: int, kind: str
) -> None:
    """Mentions are found up to its end."""
    pipeline = trained / "training" / "token_ner" / "model-best"
    if kind == "slim":
        measure("slim", pipeline, tmp_path / "slim")
        pipeline = tmp_path / "slim"
    found = read_corpus(SAMPLE / "train.txt").documents
    sentences = [" ".join(s.words) for document in found for s in document.sentences]
    short = [text for text in sentences if len(text) < 4.9 * len(text.split())]
    text = " ".join(islice(cycle(" ".join(short).split()), words))
    assert len(text) < MAX_LENGTH
    (tmp_path / "in.txt").write_text(text, encoding="utf-8")
    output = tmp_path / "out.jsonl"
    result = measure("predict", pipeline, tmp_path / "in.txt", "-o", output, "--device", "cpu")
    (row,) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    assert row["text"] == text
    assert {10 * mention["start"] // len(text) for mention in row["mentions"]} == set(range(10))
    record(f"prediction, MiniLM, {kind}", f"1 document of {words:,} words", result)


def test_one_line_of_200_mb(tmp_path: Path, record: Record) -> None:
    """A single word. Time is linear in its length."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    line = json.dumps({"text": "a" * 200_000_000, "mentions": []})
    source.write_text(line + "\n")
    result = measure("convert", source, target)
    assert json.loads(target.read_text()) == json.loads(line)
    record("convert, JSONL to JSONL", "1 line of 200 MB, a single word", result)
