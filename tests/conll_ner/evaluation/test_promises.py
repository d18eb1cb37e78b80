"""Promises: what a step counts, which step is chosen, and how often new documents keep it."""

from typing import Any

import numpy
import pytest
from scipy.stats import t as student
from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from conll_ner.common.console import InputError
from conll_ner.evaluation.promises import (
    FLOORS,
    Kind,
    Outcomes,
    check_promises,
    choose_step,
    count_outcomes,
    documents_needed,
    lower_bounds,
    simulate,
    steps_of,
)
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

VOCAB = Vocab()
STEPS = numpy.array([0.9, 0.8, 0.5, 0.0])


def make(words: int, mentions: list[tuple[int, int, str]]) -> Doc:
    doc = Doc(VOCAB, words=["w"] * words)
    doc.set_ents([Span(doc, *mention) for mention in mentions])
    return doc


def predict(words: int, scored: list[tuple[int, int, str, float]]) -> Doc:
    """A document with the same spans as mentions and as candidates."""
    doc = Doc(VOCAB, words=["w"] * words)
    doc.set_ents(keep_scores(doc, "token_ner", [ScoredMention(*row) for row in scored]))
    spans = [Span(doc, *row[:3]) for row in scored]
    group = SpanGroup(doc, spans=spans, attrs={"scores": [row[3] for row in scored]})
    doc.spans["token_ner_candidates"] = group
    return doc


GOLD = [make(6, [(0, 2, "PER"), (3, 4, "LOC")]), make(3, []), make(4, [(0, 1, "PER")])]
PREDICTED = [
    predict(6, [(0, 2, "PER", 0.95), (3, 4, "ORG", 0.85), (5, 6, "PER", 0.3)]),
    predict(3, [(0, 1, "PER", 0.55)]),
    predict(4, [(0, 1, "PER", 0.6)]),
]


def at(outcomes: Outcomes, least: float) -> tuple[list[int], list[int]]:
    step = int(numpy.abs(outcomes.steps - least).argmin())
    return outcomes.right[:, step].tolist(), outcomes.counted[:, step].tolist()


def test_precision_counts_the_mentions_from_the_threshold_on() -> None:
    outcomes = count_outcomes("precision", steps_of("precision", 0.9), GOLD, PREDICTED, None)
    assert outcomes.steps[0] == 0.9
    assert (numpy.diff(outcomes.steps) < 0).all()
    assert at(outcomes, 0.9) == ([1, 0, 0], [1, 0, 0])
    assert at(outcomes, 0.6) == ([1, 0, 1], [2, 0, 1])
    assert at(outcomes, 0.0) == ([1, 0, 1], [3, 1, 1])
    assert outcomes.shares()[-1] == pytest.approx(2 / 5)


def test_recall_counts_what_candidates_find_of_gold() -> None:
    outcomes = count_outcomes("recall", steps_of("recall", 0.9), GOLD, PREDICTED, None)
    assert outcomes.steps.tolist() == FLOORS.tolist()
    assert at(outcomes, 0.001) == ([1, 0, 1], [2, 0, 1])
    assert at(outcomes, 0.7) == ([1, 0, 0], [2, 0, 1])


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [
        ("precision", "ORG", ([0, 0, 0], [1, 0, 0])),
        ("recall", "LOC", ([0, 0, 0], [1, 0, 0])),
        ("recall", "PER", ([1, 0, 1], [1, 0, 1])),
    ],
)
def test_counts_of_a_type(kind: Kind, label: str, expected: tuple[list[int], list[int]]) -> None:
    outcomes = count_outcomes(kind, steps_of(kind, 0.9), GOLD, PREDICTED, label)
    assert at(outcomes, 0.001) == expected


def test_bound_is_students_prediction_interval_with_one_more_document() -> None:
    """By hand: 3 documents with gains 1, 1 and 0 at a level of 0.5, and one that is wrong once."""
    outcomes = Outcomes(STEPS[:1], numpy.array([[2], [2], [1]]), numpy.array([[2], [2], [2]]))
    deviation = numpy.std([1, 1, 0, -1], ddof=1)
    expected = (2 - 1) / 3 - student.ppf(0.95, 2) * deviation * (2 / 3) ** 0.5
    assert lower_bounds(outcomes, "precision", 0.5, 0.9).tolist() == pytest.approx([expected])


def shares_right(*shares: float, documents: int = 200) -> Outcomes:
    """Documents with 100 mentions each, the same share of which is right."""
    right = numpy.tile(100 * numpy.array(shares), (documents, 1))
    return Outcomes(STEPS[: len(shares)], right, numpy.full_like(right, 100.0))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.99, 0.98, 0.97, 0.96), 3),
        ((0.99, 0.98, 0.5, 0.99), 1),
        ((0.5, 0.99, 0.99, 0.99), None),
    ],
)
def test_the_last_step_before_the_first_failure_is_chosen(
    shares: tuple[float, ...], expected: int | None
) -> None:
    assert choose_step(shares_right(*shares), "precision", 0.95, 0.9) == expected


def draw(documents: int, seed: int, kind: Kind = "precision") -> Outcomes:
    """Documents of very different sizes, a few of which are much worse than the others."""
    random = numpy.random.default_rng(seed)
    steps = numpy.linspace(0.98, 0.0, 50) if kind == "precision" else FLOORS
    right, counted = [], []
    for size, is_bad in zip(
        random.geometric(0.05, documents), random.random(documents) < 0.03, strict=True
    ):
        # Mentions, of which a score is the probability to be right; or the best spans of names.
        scores = random.beta(8, 1, size) if kind == "precision" else random.beta(2, 0.2, size)
        is_right = random.random(size) < (scores * (0.8 if is_bad else 1.0))
        if kind == "recall":
            scores, is_right = scores * (0.4 if is_bad else 1.0), numpy.ones(size, dtype=bool)
        kept = scores[:, None] >= steps
        right.append(kept[is_right].sum(axis=0))
        counted.append(kept.sum(axis=0) if kind == "precision" else numpy.full(len(steps), size))
    return Outcomes(steps, numpy.array(right), numpy.array(counted))


PROMISES: list[tuple[Kind, float]] = [
    *(("precision", level) for level in (0.85, 0.9, 0.93)),
    *(("recall", level) for level in (0.93, 0.95, 0.98)),
]


def share_kept(kind: Kind, level: float, corpora: int, draws: int) -> tuple[float, float]:
    """RETURNS: The shares of promises that are made and not broken."""
    found = [
        simulate(draw(200, seed, kind), kind, level, 0.9, draws, seed) for seed in range(corpora)
    ]
    made, kept = numpy.mean(found, axis=0).tolist()
    return made, kept


@pytest.mark.parametrize(("kind", "level"), PROMISES)
def test_promises_are_kept_by_new_documents_as_often_as_stated(kind: Kind, level: float) -> None:
    made, kept = share_kept(kind, level, corpora=20, draws=10)
    assert kept >= 0.9 - 2 * (0.9 * 0.1 / 200) ** 0.5  # sampling error
    assert made >= 0.3


@pytest.mark.stress
@pytest.mark.parametrize(("kind", "level"), PROMISES)
def test_promises_are_kept_in_a_thousand_draws(kind: Kind, level: float, stress: int) -> None:
    _, kept = share_kept(kind, level, corpora=10 * stress, draws=1000)
    assert kept >= 0.9


def test_too_few_documents_promise_nothing_and_enough_of_them_do() -> None:
    few = draw(12, seed=1)
    assert choose_step(few, "precision", 0.9, 0.9) is None
    needed = documents_needed(few, "precision", 0.9, 0.9)
    assert needed is not None
    times = -(-needed // 12) + 1
    more = few.select(numpy.tile(numpy.arange(12), times))
    assert choose_step(more, "precision", 0.9, 0.9) is not None


def test_no_number_of_documents_helps_below_the_level() -> None:
    assert documents_needed(shares_right(0.9), "precision", 0.95, 0.9) is None


@pytest.mark.parametrize(
    ("level", "least", "expected"),
    [
        (0.4, 0.0, {"share": 0.4, "kept": True}),
        (0.41, 0.0, {"share": 0.4, "kept": False}),
        (0.4, {"PER": 0.0, "ORG": 0.0}, {"share": {"PER": 0.5, "ORG": 0.0}, "kept": False}),
    ],
)
def test_a_promise_is_kept_if_its_level_is_reached(
    level: float, least: Any, expected: dict[str, Any]
) -> None:
    promise = {"level": level, "least": least, "confidence": 0.9, "share": 0.5}
    meta = {"promises": {"precision": promise | {"gold": "a", "documents": 3, "date": "today"}}}
    assert check_promises(meta, GOLD, PREDICTED) == {"precision": {"level": level, **expected}}


@pytest.mark.parametrize(
    "damaged", ["all", {"precision": 1}, {"precision": {"level": 0.9}}, {"speed": {}}]
)
def test_damaged_promises_are_one_line(damaged: Any) -> None:
    with pytest.raises(InputError, match=r"the promises in the pipeline's meta\.json are damaged"):
        check_promises({"promises": damaged}, GOLD, PREDICTED)


def test_a_pipeline_without_promises_has_none_to_keep() -> None:
    assert check_promises({}, GOLD, PREDICTED) == {}


def test_a_simulation_from_few_documents_looks_at_all_others() -> None:
    few = simulate(draw(200, 0), "precision", 0.9, 0.9, draws=50, documents=20)
    half = simulate(draw(200, 0), "precision", 0.9, 0.9, draws=50)
    assert few.made < half.made
    assert few.kept >= 0.9
