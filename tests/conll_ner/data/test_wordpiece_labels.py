"""Labels of wordpieces as in the Hugging Face course, and scores by wordpiece and by word."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import transformers

from conll_ner.data.columns.conll import Sentence
from conll_ner.data.mentions import Mention
from conll_ner.data.wordpiece_labels import (
    IGNORED,
    align_labels,
    encode,
    label_names,
    mention_types,
    read_sentences,
    score,
)
from tests.conftest import TINY

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


def test_encode_labels_first_wordpieces_only(tiny_backbone: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    ids = {name: i for i, name in enumerate(NAMES)}
    encoded = encode(SENTENCE, tokenizer, ids, first_only=True)
    assert [i for i, label in enumerate(encoded["labels"]) if label != IGNORED] == [1, 4, 8, 10]
    assert [encoded["labels"][i] for i in (1, 4, 8, 10)] == [3, 0, 1, 0]


def test_encode_matches_the_example_of_the_course(tmp_path: Path) -> None:
    """Nine words, one of them with two wordpieces. Word ids, labels and padded batches look as in
    https://huggingface.co/learn/llm-course/chapter7/2."""
    words = ["UN", "praises", "Welsh", "offer", "to", "buy", "Cornish", "boats", "."]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, "bo", "##ats"]
    pieces.remove("boats")
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"), do_lower_case=False)
    names = label_names({"MISC", "PER", "LOC", "ORG"})
    assert names == ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
    mentions = [Mention(0, 1, "ORG"), Mention(2, 3, "MISC"), Mention(6, 8, "MISC")]
    sentence = Sentence(words, [""] * 9, [""] * 9, [""] * 9, mentions)
    encoding = tokenizer(words, is_split_into_words=True)
    assert encoding.tokens() == [
        *("[CLS]", "UN", "praises", "Welsh", "offer", "to", "buy", "Cornish", "bo", "##ats", "."),
        "[SEP]",
    ]
    assert encoding.word_ids() == [None, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, None]
    encoded = encode(sentence, tokenizer, {name: i for i, name in enumerate(names)})
    assert encoded["labels"] == [-100, 3, 0, 7, 0, 0, 0, 7, 8, 8, 0, -100]
    short = encode(
        Sentence(words[:2], [""] * 2, [""] * 2, [""] * 2, [Mention(0, 2, "ORG")]),
        tokenizer,
        {name: i for i, name in enumerate(names)},
    )
    collate = transformers.DataCollatorForTokenClassification(tokenizer)
    features = [{k: row[k] for k in ("input_ids", "labels")} for row in (encoded, short)]
    batch = collate(features)
    assert batch["labels"].tolist() == [encoded["labels"], [-100, 3, 4, -100, *[-100] * 8]]
    assert batch["attention_mask"].sum(1).tolist() == [12, 4]


def test_label_names_are_in_order(tiny_file: Path) -> None:
    sentences = read_sentences(tiny_file)
    assert len(sentences) == TINY.count("\n\n") - 1
    assert mention_types(sentences) == {"PER", "ORG", "LOC"}
    assert label_names({"ORG", "GPE", "ANIMAL"}) == (
        ["O", "B-ORG", "I-ORG", "B-ANIMAL", "I-ANIMAL", "B-GPE", "I-GPE"]
    )


@pytest.mark.parametrize(
    ("changes", "wordpiece", "word"),
    [
        ({}, 1.0, 1.0),
        ({9: 0}, 0.5, 1.0),  # a continuation: wrong by wordpiece, correct by word
        ({8: 0}, 0.5, 2 / 3),  # ##Y alone is still a mention by wordpiece, with another span
        ({0: 3, 11: 3}, 1.0, 1.0),  # special tokens don't count
    ],
)
def test_f1_by_wordpiece_and_by_word(
    encoded: dict[str, list[int]], changes: dict[int, int], wordpiece: float, word: float
) -> None:
    row = numpy.array([0 if label == IGNORED else label for label in encoded["labels"]])
    for position, label in changes.items():
        row[position] = label
    padded: Any = numpy.concatenate([row, [3, 3]])[None]  # padding is ignored
    scores = score(padded, [encoded], NAMES)
    assert scores["wordpiece_f1"] == pytest.approx(wordpiece)
    assert scores["word_f1"] == pytest.approx(word)
