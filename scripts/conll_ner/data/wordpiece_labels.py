"""Encode column files for a Hugging Face token classifier, and score its predictions.

As in the Hugging Face course, every wordpiece has a label, B- becomes I- on continuations, and
special tokens are ignored (https://huggingface.co/learn/llm-course/chapter7/2).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from spacy.vocab import Vocab

from conll_ner.data.columns.conll import Sentence, read_corpus
from conll_ner.data.columns.schemes import encode_iob2
from conll_ner.data.docs import read_docs, to_document

IGNORED = -100  # the label that torch's cross-entropy ignores
# The types of CoNLL-2003, in the order of its models on the hub. Other types follow.
CONLL_TYPES = ("PER", "ORG", "LOC", "MISC")
Encoded = dict[str, list[int]]


def read_sentences(path: Path) -> list[Sentence]:
    """RETURNS (list[Sentence]): The sentences of a column file or a .spacy file, without whitespace
    tokens. A document without sentence boundaries is split by punctuation."""
    if path.suffix == ".spacy":
        documents = [to_document(doc) for doc in read_docs(path, Vocab())]
    else:
        documents = read_corpus(path).documents
    return [sentence for document in documents for sentence in document.sentences]


def label_names(types: set[str], prefixes: str = "BI") -> list[str]:
    """List the labels of a classifier.

    prefixes (str): The prefixes of the label scheme.
    RETURNS (list[str]): O, then each type with each prefix. For CoNLL-2003: O, B-PER, I-PER, B-ORG,
        I-ORG, B-LOC, I-LOC, B-MISC, I-MISC.
    """
    known: list[str] = [type_ for type_ in CONLL_TYPES if type_ in types]
    ordered = [*known, *sorted(types.difference(known))]
    return ["O", *(f"{prefix}-{type_}" for type_ in ordered for prefix in prefixes)]


def mention_types(sentences: Sequence[Sentence]) -> set[str]:
    return {mention.label for sentence in sentences for mention in sentence.mentions}


def align_labels(
    word_ids: Sequence[int | None], labels: Sequence[str], *, first_only: bool = False
) -> list[str | None]:
    """Assign the labels of words to their wordpieces.

    word_ids (Sequence[int | None]): Word index of each wordpiece; None for special tokens.
    labels (Sequence[str]): Label of each word, in IOB2.
    first_only (bool): Give continuations no label instead of I-.
    RETURNS (list[str | None]): Label of each wordpiece; None for special tokens.
    """
    aligned: list[str | None] = []
    previous = None
    for word in word_ids:
        if word is None or (first_only and word == previous):
            aligned.append(None)
        elif word == previous and labels[word].startswith("B-"):
            aligned.append(f"I-{labels[word][2:]}")
        else:
            aligned.append(labels[word])
        previous = word
    return aligned


def encode(
    sentence: Sentence, tokenizer: Any, label_ids: dict[str, int], *, first_only: bool = False
) -> Encoded:
    """RETURNS (Encoded): The model inputs, `labels`, and `first`: 1 where a word starts, else 0."""
    encoding = tokenizer(sentence.words, is_split_into_words=True, truncation=True)
    word_ids = encoding.word_ids()
    labels = encode_iob2(len(sentence.words), sentence.mentions)
    aligned = align_labels(word_ids, labels, first_only=first_only)
    unknown = set(sentence.unknown)
    aligned = [None if w in unknown else a for w, a in zip(word_ids, aligned, strict=True)]
    before = [None, *word_ids[:-1]]
    return {
        "input_ids": encoding["input_ids"],
        "attention_mask": encoding["attention_mask"],
        "labels": [IGNORED if label is None else label_ids[label] for label in aligned],
        "first": [int(w is not None and w != b) for w, b in zip(word_ids, before, strict=True)],
    }


def score(
    predicted: Sequence[numpy.ndarray], encoded: Sequence[Encoded], names: Sequence[str]
) -> dict[str, float]:
    """Score by wordpiece, as in the course, and by word, using the label of its first wordpiece.
    Both use seqeval's default mode.

    predicted (Sequence[numpy.ndarray]): Label ids of each sentence, (n_wordpieces,) or padded.
    RETURNS (dict[str, float]): `word_precision`, `word_recall`, `word_f1`, `word_accuracy`, and
        the same with the prefix `wordpiece_`.
    """
    units: dict[str, tuple[list[list[str]], list[list[str]]]] = {
        "wordpiece": ([], []),
        "word": ([], []),
    }
    for row, sentence in zip(predicted, encoded, strict=True):
        gold = numpy.array(sentence["labels"])
        chosen = {"wordpiece": gold != IGNORED, "word": numpy.array(sentence["first"]) == 1}
        for unit, (golds, predictions) in units.items():
            golds.append([names[i] for i in gold[chosen[unit]]])
            predictions.append([names[i] for i in row[: len(gold)][chosen[unit]]])
    return {
        f"{unit}_{name}": value
        for unit, pair in units.items()
        for name, value in measure(*pair).items()
    }


def measure(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, float]:
    """RETURNS (dict[str, float]): `precision`, `recall`, `f1` and `accuracy` of label sequences, by
    seqeval in its default mode."""
    return {
        "precision": float(precision_score(gold, predicted, zero_division=0)),
        "recall": float(recall_score(gold, predicted, zero_division=0)),
        "f1": float(f1_score(gold, predicted, zero_division=0)),
        "accuracy": float(accuracy_score(gold, predicted)),
    }
