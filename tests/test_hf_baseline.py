"""The well-known recipe: labels on wordpieces, and its scores by wordpiece and by word."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import transformers
from conftest import TINY

from conll import Mention, Sentence
from hf_baseline import IGNORED, align_labels, encode, f1_scores, label_names, read_sentences

NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SENTENCE = Sentence(
    words=["Ada", "left", "NY", "."],
    pos=["NNP", "VBD", "NNP", "."],
    chunks=[""] * 4,
    lemmas=[""] * 4,
    mentions=[Mention(0, 1, "PER"), Mention(2, 3, "LOC")],
)


@pytest.fixture
def encoded(tiny_backbone: Path) -> dict[str, list[int]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    return encode(SENTENCE, tokenizer, {name: i for i, name in enumerate(NAMES)})


@pytest.mark.parametrize(
    ("word_ids", "labels", "expected"),
    [
        ([None, 0, 1, None], ["B-PER", "O"], [None, "B-PER", "O", None]),
        ([None, 0, 0, 0, None], ["B-PER"], [None, "B-PER", "I-PER", "I-PER", None]),
        ([0, 1, 1], ["B-PER", "I-PER"], ["B-PER", "I-PER", "I-PER"]),
        ([0, 1], ["B-PER", "B-PER"], ["B-PER", "B-PER"]),
        ([0, 0], ["O"], ["O", "O"]),
    ],
)
def test_align_labels(
    word_ids: list[int | None], labels: list[str], expected: list[str | None]
) -> None:
    assert align_labels(word_ids, labels) == expected


def test_encode_labels_every_wordpiece(encoded: dict[str, list[int]]) -> None:
    # [CLS] A ##d ##a l ##e ##f ##t N ##Y . [SEP]
    assert encoded["labels"] == [IGNORED, 3, 4, 4, 0, 0, 0, 0, 1, 2, 0, IGNORED]
    assert encoded["first"] == [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0]


def test_label_names_are_in_order(tiny_file: Path) -> None:
    sentences = read_sentences(tiny_file)
    assert len(sentences) == TINY.count("\n\n") - 1
    expected = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert label_names(sentences) == expected


@pytest.mark.parametrize(
    ("changes", "wordpiece", "word"),
    [
        ({}, 1.0, 1.0),
        ({9: 0}, 0.5, 1.0),  # a continuation: an error by wordpiece, none by word
        ({8: 0}, 0.5, 2 / 3),  # ##Y alone still is a mention by wordpiece, but of other extent
        ({0: 3, 11: 3}, 1.0, 1.0),  # special tokens don't count
    ],
)
def test_f1_by_wordpiece_and_by_word(
    encoded: dict[str, list[int]], changes: dict[int, int], wordpiece: float, word: float
) -> None:
    row = numpy.array([0 if label == IGNORED else label for label in encoded["labels"]])
    for position, label in changes.items():
        row[position] = label
    padded: Any = numpy.concatenate([row, [3, 3]])[None]  # padding isn't looked at
    scores = f1_scores(padded, [encoded], NAMES)
    assert scores["wordpiece_f1"] == pytest.approx(wordpiece)
    assert scores["word_f1"] == pytest.approx(word)
