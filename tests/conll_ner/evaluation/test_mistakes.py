"""Error analysis, by hand and against nervaluate and scikit-learn."""

from typing import Any

import numpy
import pytest
import sklearn.metrics
import spacy
from hypothesis import given
from hypothesis import strategies as st
from nervaluate.entities import Entity
from nervaluate.strategies import StrictEvaluation
from spacy.tokens import Doc

from conll_ner.evaluation.mistakes import (
    KINDS,
    by_length,
    by_position,
    by_seen,
    confusion,
    count_mistakes,
    f1_by,
    find_mistakes,
)

VOCAB = spacy.blank("en").vocab


def doc(labels: str) -> Doc:
    return Doc(VOCAB, words=[f"w{i}" for i in range(len(labels.split()))], ents=labels.split())


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ("B-A I-A O B-B", "B-A I-A O B-B", []),
        ("B-A I-A O B-B", "B-B I-B O B-B", ["type"]),
        ("B-A I-A O B-B", "B-A O O B-B", ["boundary"]),
        ("O B-A I-A O", "B-A I-A I-A I-A", ["boundary"]),
        ("B-A I-A O B-B", "B-B O O B-B", ["type and boundary"]),
        ("B-A I-A O B-B", "O O O B-B", ["missed"]),
        ("O O O B-B", "B-A O O B-B", ["spurious"]),
        (
            "B-A B-A O",
            "B-A I-A O",
            ["boundary", "missed"],
        ),  # one predicted mention overlaps two gold mentions
        (
            "B-A I-A O",
            "B-A B-A O",
            ["boundary", "spurious"],
        ),  # two predicted mentions overlap one gold mention
        ("B-A O O", "O O B-A", ["missed", "spurious"]),  # no word in common
        ("O O", "O O", []),
    ],
)
def test_mistakes_by_hand(gold: str, predicted: str, kinds: list[str]) -> None:
    errors = find_mistakes(doc(gold), doc(predicted))
    assert [error.kind for error in errors] == kinds
    assert count_mistakes([doc(gold)], [doc(predicted)]) == {k: kinds.count(k) for k in KINDS}
    for error in errors:
        assert (error.gold is None) is (error.kind == "spurious")
        assert (error.predicted is None) is (error.kind == "missed")


label = st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"])


def repaired(tags: list[str]) -> str:
    before, out = "O", []
    for tag in tags:
        tag = f"B{tag[1:]}" if tag[0] == "I" and before[1:] != tag[1:] else tag
        out.append(tag)
        before = tag
    return " ".join(out)


@given(st.lists(st.tuples(label, label), min_size=1, max_size=15))
def test_mistakes_agree_with_nervaluate(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = (doc(repaired(list(tags))) for tags in zip(*pairs, strict=True))
    entities: list[Any] = [
        [Entity(label=e.label_, start=e.start, end=e.end - 1) for e in d.ents]
        for d in (gold, predicted)
    ]
    expected, _ = StrictEvaluation().evaluate(*entities, tags=["A", "B"])
    counts = count_mistakes([gold], [predicted])
    assert counts["missed"] == expected.missed
    assert counts["spurious"] == expected.spurious
    assert sum(counts.values()) - counts["missed"] - counts["spurious"] == expected.incorrect


def test_f1_by_length_by_hand() -> None:
    gold = [doc("B-A I-A O B-B B-A I-A I-A I-A I-A")]
    predicted = [doc("B-A O O B-B B-A I-A I-A I-A I-A")]
    scores = f1_by(gold, predicted, by_length)
    # One word: 2 predicted, 1 of them correct, 1 gold. Two words: 1 gold, missed.
    assert scores["1"] == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "support": 1,
    }
    assert scores["2"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert scores["4+"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert list(scores) == ["1", "2", "4+"]


def test_buckets() -> None:
    spans = doc("B-A O B-A O O O O O B-B").ents
    assert [by_position(span) for span in spans] == ["1st third", "1st third", "3rd third"]
    train = Doc(VOCAB, words=["w0", "w8"], ents=["B-A", "B-A"])
    seen = by_seen([train])
    assert [seen(span) for span in spans] == ["seen", "unseen", "unseen"]  # by text and type


def test_seen_depends_on_words_and_not_on_the_spaces_between_them() -> None:
    """Gold of raw text has the text's spaces, predictions on its words have one after each."""
    words, ents = ["3", "-", "D", "fell"], ["B-A", "I-A", "I-A", "O"]
    gold = Doc(VOCAB, words=words, spaces=[False, False, True, False], ents=ents)
    predicted = Doc(VOCAB, words=words, ents=ents)
    scores = f1_by([gold], [predicted], by_seen([gold]))
    assert scores == {"seen": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}}
    assert f1_by([gold], [predicted], by_seen([predicted])) == scores
    assert list(f1_by([gold], [predicted], by_seen([]))) == ["unseen"]


def test_f1_by_counts_every_mention_once() -> None:
    gold, predicted = [doc("B-A O B-B I-B")], [doc("B-A B-A O B-B")]
    (scores,) = f1_by(gold, predicted, lambda _: "all").values()
    assert scores == {
        "precision": pytest.approx(1 / 3),
        "recall": 0.5,
        "f1": pytest.approx(0.4),
        "support": 2,
    }


def test_confusion_by_hand() -> None:
    gold = [doc("B-A I-A O B-B O B-B B-A"), doc("O B-C")]
    predicted = [doc("B-A O O B-A O O B-A"), doc("B-C O")]
    assert confusion(gold, predicted) == {
        "types": ["A", "B", "C"],
        "counts": [
            [2, 0, 0, 0],  # one exact, one with a wrong boundary
            [1, 0, 0, 1],  # one predicted as A, one missed
            [0, 0, 0, 1],
            [0, 0, 1, 0],  # one spurious
        ],
    }


kind_of_word = st.sampled_from("ABO")


@given(st.lists(st.tuples(kind_of_word, kind_of_word), min_size=1, max_size=9))
def test_confusion_of_single_words_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = (
        doc(" ".join("O" if type_ == "O" else f"B-{type_}" for type_ in side))
        for side in zip(*pairs, strict=True)
    )
    found = confusion([gold], [predicted])
    kept = [pair for pair in pairs if pair != ("O", "O")]
    if not kept:
        assert found == {"types": [], "counts": [[0]]}
        return
    order = [*found["types"], "O"]
    expected = sklearn.metrics.confusion_matrix(*zip(*kept, strict=True), labels=order)
    assert numpy.array_equal(found["counts"], expected)
