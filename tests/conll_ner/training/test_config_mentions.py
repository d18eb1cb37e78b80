"""Corpora that nothing can be learnt from, or scored on, are one line before training starts."""

from pathlib import Path

import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from conll_ner.common.console import InputError
from conll_ner.data.docs import write_docs
from conll_ner.training import train
from conll_ner.training.config import check_mentions, load_checked_config
from tests.conftest import ROOT

CONFIG = ROOT / "configs" / "transition_ner.cfg"


def write(path: Path, *labels: str) -> None:
    docs = [Doc(Vocab(), words=["a"] * len(line.split()), ents=line.split()) for line in labels]
    write_docs(docs, path)


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    write(tmp_path / "train.spacy", "B-PER O", "B-LOC I-LOC", "O O")
    write(tmp_path / "dev.spacy", "O O", "O B-LOC", "B-PER")
    (tmp_path / "backbone").mkdir()
    names = {"train": "train.spacy", "dev": "dev.spacy", "backbone": "backbone"}
    return {f"paths.{name}": str(tmp_path / file) for name, file in names.items()}


@pytest.mark.parametrize(
    ("split", "labels", "problem"),
    [
        ("train", ["O O", "O O"], "corpora.train has no mention: there is nothing to learn"),
        ("train", [], "corpora.train has no mention: there is nothing to learn"),
        ("dev", ["O O"], "corpora.dev has no mention: there is nothing to score"),
        ("dev", [], "corpora.dev has no mention: there is nothing to score"),
    ],
)
def test_train_without_mentions_is_one_line(
    split: str,
    labels: list[str],
    problem: str,
    paths: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / f"{split}.spacy", *labels)
    options = [part for name, value in paths.items() for part in (f"--{name}", value)]
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SystemExit):
        train.app([str(CONFIG), str(tmp_path / "out"), *options], standalone_mode=False)
    assert capsys.readouterr().err == f"Error: {problem}\n"
    after = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in after if not name.endswith(".lock")] == before


def test_train_warns_of_labels_that_only_dev_has(
    paths: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mentions(load_checked_config(CONFIG, paths))
    assert capsys.readouterr().out == ""
    write(tmp_path / "dev.spacy", "B-NEW B-NEW O B-LOC", "B-PER B-OTHER I-OTHER")
    check_mentions(load_checked_config(CONFIG, paths))
    warned = " ".join(capsys.readouterr().out.split())
    words = (
        "corpora.train lacks labels of corpora.dev, whose mentions can't be learnt: NEW 2, OTHER 1"
    )
    assert words in warned


@pytest.mark.parametrize("split", ["train", "dev"])
def test_train_on_a_damaged_corpus_is_one_line(
    split: str, paths: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / f"{split}.spacy"
    path.write_bytes(path.read_bytes()[:-9])
    config = load_checked_config(CONFIG, paths)
    with pytest.raises(InputError, match=r"the corpus can't be read: .*; convert it again"):
        check_mentions(config)
