"""CSV with a sentence in each row and a list of its labels in a cell."""

import csv
from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, mentions, read, read_all

WORDS, TAGS = ["Ada", "left", "Oslo", "."], ["B-PER", "O", "B-LOC", "O"]


def write(path: Path, *rows: list[object], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["", "tokens", "ner_tags"], str(WORDS)),
        (["Sentence #", "Sentence", "Tag"], " ".join(WORDS)),
        (["id", "text", "labels"], " ".join(WORDS)),
        (["id", "words", "NER Tag"], str(WORDS).replace("'", '"')),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_lists_are_read(header: list[object], words: str, delimiter: str, tmp_path: Path) -> None:
    row = [1, words, str(TAGS)]
    name, docs, issues = read(write(tmp_path / "in.csv", header, row, row, delimiter=delimiter))
    assert name == "csv-lists"
    assert [[token.text for token in doc] for doc in docs] == [WORDS] * 2
    assert [mentions(doc) for doc in docs] == [MENTIONS] * 2
    assert issues == []


def test_tags_of_words_are_not_taken_for_labels(tmp_path: Path) -> None:
    """As Kaggle's ner.csv has them beside the labels."""
    header: list[object] = ["Sentence #", "Sentence", "POS", "Tag"]
    row: list[object] = [1, " ".join(WORDS), str(["NNP", "VBD", "NNP", "."]), str(TAGS)]
    assert mentions(read(write(tmp_path / "in.csv", header, row))[1][0]) == MENTIONS


@pytest.mark.parametrize(
    ("words", "tags", "reason"),
    [
        (str(WORDS[:2]), str(TAGS), "2 words and 4 labels"),
        (str(WORDS), "['B-PER' 'O' 'B-LOC' 'O']", "has no commas, as NumPy prints it"),
        (str(WORDS), "[" * 3000 + "]" * 3000, "4 words and 0 labels"),
        (str(WORDS), "['B-PER', 'O'", "4 words and 0 labels"),
    ],
)
def test_a_row_that_is_wrong_is_listed(words: str, tags: str, reason: str, tmp_path: Path) -> None:
    rows: list[list[object]] = [["tokens", "tags"], [str(WORDS), str(TAGS)], [words, tags]]
    path = write(tmp_path / "in.csv", *rows)
    _, docs, (issue,) = read_all([path], strict=False)
    assert len(docs) == 1
    assert issue.record == f"{path}:3"
    assert reason in issue.reason
    with pytest.raises(InputError, match=r"in\.csv:3: "):
        read(path)
