"""Promises about new documents: that precision or recall reaches a level.

A promise says: with a confidence of 90 %, as many new documents as gold has, of the same kind,
reach the level. The documents are the sample: mentions of one document are right or wrong together.
A step is a least score. For precision it is a threshold, from the level down to 0; for recall, a
floor of candidates, from 0.001 up. In this order, which doesn't depend on gold, steps are tested,
and the last one before the first failure is taken: so testing many of them doesn't weaken the
confidence (fixed-sequence testing, https://arxiv.org/abs/2110.01052, section 3.1).

A test is Student's prediction interval for the mean gain, `right - level * counted`, of as many
further documents. A few documents have most of the errors, and gold may happen to lack such ones.
So a document with a large loss is added to gold, as conformal risk control adds the worst one
(https://arxiv.org/abs/2208.02814, equation 4), and an interval may fail half as often as the
confidence allows. That is then enough in practice: `simulate` counts how often a promise holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from scipy.stats import t as student
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.data.mentions import CharMention, char_mentions
from conll_ner.evaluation.metrics_schema import Share
from token_ner import list_candidates

Kind = Literal["precision", "recall"]
LEAST_FLOOR = 0.001  # the lowest that token_ner takes
FLOORS = numpy.unique(numpy.round(numpy.geomspace(LEAST_FLOOR, 0.9, 120), 4))
THRESHOLDS = numpy.append(numpy.arange(0, 100) / 100, [0.995, 0.999])
STEP = numpy.array([0.0])  # what a pipeline predicts is from its least score on
PROMISES = "promises"  # in a pipeline's meta: its promises, by kind
MOST_DOCUMENTS = 100_000  # that are named as needed
ByType = Annotated[dict[str, Share], Field(min_length=1)]


class Promise(BaseModel):
    """What a pipeline's `meta` saves of a promise.

    level (float): The precision or recall.
    confidence (float): That as many new documents as gold has reach it.
    least (float | dict[str, float]): The least score of a mention or candidate, or one by type.
    share (float | dict[str, float]): What gold reaches, by type as `least`.
    gold (str): The file of the gold documents.
    documents (int): Their number.
    date (str): When it was made.
    """

    level: Share
    confidence: Share
    least: Share | ByType
    share: Share | ByType
    gold: str
    documents: int
    date: str

    @property
    def by_type(self) -> bool:
        return isinstance(self.least, dict)

    def describe(self, kind: str) -> str:
        """RETURNS (str): The promise in words. kind: of which it is."""
        setting = "threshold" if kind == "precision" else "least score of a candidate"
        least = format_by_type(self.least, "{:.4g}".format)
        each = " for each type" if self.by_type else ""
        return (
            f"a {kind} of {100 * self.level:g} %{each}, kept by {100 * self.confidence:g} % of "
            f"samples of {self.documents:,} documents like {self.gold} (which has "
            f"{format_share(self.share)} %); {setting}: {least}"
        )


class Outcomes(NamedTuple):
    """What happens at each step in each document.

    steps (ndarray): Least scores, in the order of testing: (n_steps,).
    right (ndarray): Mentions of gold with at least this score, (n_documents, n_steps).
    counted (ndarray): Of which they are a share: for precision all mentions with at least this
        score, for recall those of gold, (n_documents, n_steps).
    """

    steps: numpy.ndarray
    right: numpy.ndarray
    counted: numpy.ndarray

    def select(self, documents: numpy.ndarray) -> "Outcomes":
        return Outcomes(self.steps, self.right[documents], self.counted[documents])

    def shares(self) -> numpy.ndarray:
        """RETURNS (ndarray): Precision or recall of all documents together at each step; 1 where
        nothing is counted: (n_steps,)."""
        counted = self.counted.sum(axis=0)
        return numpy.where(counted, self.right.sum(axis=0) / numpy.maximum(1, counted), 1.0)


def steps_of(kind: Kind, level: float) -> numpy.ndarray:
    """RETURNS (ndarray): The least scores to test, in order."""
    return THRESHOLDS[level >= THRESHOLDS][::-1] if kind == "precision" else FLOORS


def count_outcomes(
    kind: Kind,
    steps: numpy.ndarray,
    gold: Sequence[Doc],
    predicted: Sequence[Doc],
    label: str | None,
) -> Outcomes:
    """Count what each step keeps.

    steps (ndarray): Least scores, (n_steps,).
    predicted (Sequence[Doc]): For precision with the mentions of all scores, for recall with
        candidates from LEAST_FLOOR on.
    label (str | None): The type to count; None for all.
    """
    right, kept, expected = [], [], []
    for gold_doc, doc in zip(gold, predicted, strict=True):
        mentions = {m for m in char_mentions(gold_doc) if label in (None, m.label)}
        scored = scored_spans(kind, doc, label)
        scores = numpy.array([score for _, score in scored])
        is_right = numpy.array([mention in mentions for mention, _ in scored], dtype=bool)
        at_least = scores[:, None] >= steps
        right.append(at_least[is_right].sum(axis=0))
        kept.append(at_least.sum(axis=0))
        expected.append(numpy.full(len(steps), len(mentions)))
    counted = kept if kind == "precision" else expected
    return Outcomes(steps, numpy.array(right), numpy.array(counted))


def scored_spans(kind: Kind, doc: Doc, label: str | None) -> list[tuple[CharMention, float]]:
    """RETURNS (list[tuple[CharMention, float]]): For precision the mentions that have a score, for
    recall the candidates."""
    if kind == "precision":
        scored = [(ent, ent._.score) for ent in doc.ents if ent.has_extension("score")]
    else:
        scored = list_candidates(doc)
    return [
        (CharMention(span.start_char, span.end_char, span.label_), score)
        for span, score in scored
        if score is not None and label in (None, span.label_)
    ]


def lower_bounds(outcomes: Outcomes, kind: Kind, level: float, confidence: float) -> numpy.ndarray:
    """RETURNS (ndarray): What the mean gain of as many new documents is at least, with a
    confidence, at each step: (n_steps,)."""
    gains, added = gains_of(outcomes, kind, level)
    n = len(gains)
    deviation = numpy.vstack([gains, added]).std(axis=0, ddof=1)
    return (gains.sum(axis=0) + added) / n - margin(deviation, n, confidence)  # type: ignore[no-any-return]


def margin(deviation: Any, documents: Any, confidence: float) -> Any:
    """RETURNS (ndarray): By how much the means of two samples of documents differ at most. The
    rest of the confidence is kept for what the method neglects."""
    quantile = student.ppf((1 + confidence) / 2, numpy.maximum(1, documents - 1))
    return quantile * deviation * numpy.sqrt(2 / documents)


def gains_of(outcomes: Outcomes, kind: Kind, level: float) -> tuple[numpy.ndarray, numpy.ndarray]:
    """RETURNS (tuple[ndarray, ndarray]): The gains, (n_documents, n_steps), and that of the added
    document, (n_steps,). For precision it has as many wrong mentions as the worst one at the step.
    For recall, where documents that miss many at a high floor may miss few at a low one, it misses
    as many as the document of an average missed mention at the highest floor."""
    losses = outcomes.counted - outcomes.right
    if kind == "precision":
        added = losses.max(axis=0)
    else:
        missed = losses[:, -1]
        added = (missed**2).sum() / max(1, missed.sum()) * numpy.ones(len(outcomes.steps))
    return outcomes.right - level * outcomes.counted, -numpy.maximum(1, added)


def choose_step(outcomes: Outcomes, kind: Kind, level: float, confidence: float) -> int | None:
    """RETURNS (int | None): The last step before the first failure; None if the first one fails."""
    holds = lower_bounds(outcomes, kind, level, confidence) >= 0
    return int(numpy.argmin([*holds, False])) - 1 if holds[0] else None


def documents_needed(outcomes: Outcomes, kind: Kind, level: float, confidence: float) -> int | None:
    """RETURNS (int | None): How many documents like these are enough for the first step; None if
    none are, because it doesn't reach the level, or hardly."""
    gains, added = gains_of(outcomes, kind, level)
    mean, deviation = gains[:, 0].mean(), numpy.append(gains[:, 0], added[0]).std(ddof=1)
    n = numpy.arange(2, MOST_DOCUMENTS)
    enough = mean + added[0] / n - margin(deviation, n, confidence) >= 0
    return int(n[enough][0]) if enough.any() else None


class Simulation(NamedTuple):
    """How often a promise from one part of gold is kept by the same number of other documents.

    made (float): The share of the draws in which a promise was made.
    kept (float): The share of the draws in which none was broken.
    """

    made: float
    kept: float


def simulate(
    outcomes: Outcomes,
    kind: Kind,
    level: float,
    confidence: float,
    draws: int,
    seed: int = 0,
    documents: int | None = None,
) -> Simulation:
    """Make promises from random documents, and look at the others.

    documents (int | None): From how many. None is half of them, and as many others are looked at.
    """
    random = numpy.random.default_rng(seed)
    made = broken = 0
    if len(outcomes.right) < 2:
        return Simulation(0.0, 1.0)
    half = len(outcomes.right) // 2
    size, end = (half, 2 * half) if documents is None else (documents, None)
    for _ in range(draws):
        order = random.permutation(len(outcomes.right))
        step = choose_step(outcomes.select(order[:size]), kind, level, confidence)
        if step is not None:
            made += 1
            broken += bool(outcomes.select(order[size:end]).shares()[step] < level)
    return Simulation(made / draws, 1 - broken / draws)


def read_promises(meta: Mapping[str, Any]) -> dict[Kind, Promise]:
    """RETURNS (dict[Kind, Promise]): The promises of a pipeline, by kind. meta: the pipeline's.
    RAISES (InputError): If they aren't what calibrate saves."""
    try:
        return TypeAdapter(dict[Kind, Promise]).validate_python(meta.get(PROMISES, {}))
    except ValidationError:
        raise InputError(
            f'the {PROMISES} in the pipeline\'s meta.json are damaged; delete "{PROMISES}" there, '
            "and run spacy ner calibrate again"
        ) from None


def check_promises(
    meta: Mapping[str, Any], gold: Sequence[Doc], predicted: Sequence[Doc]
) -> dict[str, dict[str, Any]]:
    """Look whether the promises of a pipeline are kept on some documents.

    meta (Mapping[str, Any]): The pipeline's, which has its promises.
    predicted (Sequence[Doc]): By the pipeline.
    RETURNS (dict[str, dict]): By kind its `level`, the `share` that is reached (by type if it was
        promised by type), and whether it is `kept`.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, promise in read_promises(meta).items():
        labels = promise.least if isinstance(promise.least, dict) else [None]
        shares = {
            label: float(count_outcomes(kind, STEP, gold, predicted, label).shares()[0])
            for label in labels
        }
        found[kind] = {
            "level": promise.level,
            "share": shares if promise.by_type else shares[None],
            "kept": min(shares.values()) >= promise.level,
        }
    return found


def describe_check(kind: str, checks: Mapping[str, Mapping[str, Any]]) -> tuple[str, bool]:
    """RETURNS (tuple[str, bool]): What is reached of a promise on each form of the text, in words,
    and whether it is kept on gold words. checks: of `check_promises`, by form."""
    own = checks["gold words"][kind]
    shares = ", ".join(
        f"{format_share(found[kind]['share'])} on {text}" for text, found in checks.items()
    )
    end = "kept" if own["kept"] else "broken"
    return f"the promised {kind} of {100 * own['level']:g}: {shares}; {end}", own["kept"]


def format_share(share: float | Mapping[str, float]) -> str:
    """RETURNS (str): A share, or those of types, in percent."""
    return format_by_type(share, lambda value: f"{100 * value:.2f}")


def format_by_type(number: float | Mapping[str, float], write: Callable[[float], str]) -> str:
    """RETURNS (str): A number, or those of types with their names."""
    if isinstance(number, Mapping):
        return ", ".join(f"{label} {write(value)}" for label, value in number.items())
    return write(number)
