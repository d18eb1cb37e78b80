"""From the logits of several documents to scored mentions and candidates in each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy
from spacy.tokens import Doc

from .calibration import LEAST, Calibration
from .candidates import find_candidates
from .checks import Floor
from .lattice import Lattice, log_softmax
from .paths import ChainMentions, Paths, find_best_mentions
from .span_scores import ScoredMention
from .types import Array


class Prediction(NamedTuple):
    """What is found in a document: its mentions, in order; and candidates, None if they are off."""

    mentions: list[ScoredMention]
    candidates: list[ScoredMention] | None


class DocumentMentions(NamedTuple):
    """Mentions in documents, in order."""

    owners: Array  # (n_mentions,): the index of the document
    starts: Array  # (n_mentions,): words of the document
    ends: Array  # (n_mentions,): the word after the last
    types: Array  # (n_mentions,): 0 … K - 1
    scores: Array  # (n_mentions,): probabilities


class Chain:
    """The words of several documents, without whitespace, one after another, with separators in
    between.

    logits (Array): (n_words of all documents, n_labels).
    is_word (Sequence[Array]): For each document, False where a word is whitespace: (n_words,).
    """

    def __init__(self, lattice: Lattice, logits: Array, is_word: Sequence[Array]) -> None:
        lengths = numpy.array([len(words) for words in is_word])
        self.kept = numpy.flatnonzero(numpy.concatenate(is_word))
        self.before = numpy.cumsum(lengths) - lengths  # words before each document
        self.owners = numpy.repeat(numpy.arange(len(lengths)), lengths)[self.kept]
        # Document i has i separators before it.
        self.places = numpy.arange(len(self.kept)) + self.owners
        words = numpy.repeat(lattice.separator, len(self.kept) + len(lengths), axis=0)
        words[self.places] = log_softmax(logits[self.kept].astype("float64"))
        self.paths = Paths(lattice, words)

    def best(self) -> DocumentMentions:
        """RETURNS (DocumentMentions): The mentions of the best legal sequence."""
        return self.to_documents(find_best_mentions(self.paths))

    def candidates(self, floors: Array) -> DocumentMentions:
        """RETURNS (DocumentMentions): All spans above floors, as `find_candidates` takes them."""
        return self.to_documents(find_candidates(self.paths, floors))

    def to_documents(self, found: ChainMentions) -> DocumentMentions:
        """RETURNS (DocumentMentions): The mentions, in the words of their documents."""
        edges = numpy.searchsorted(self.places, [found.starts, found.ends - 1])
        owners = self.owners[edges[0]]
        firsts, lasts = self.kept[edges] - self.before[owners]
        return DocumentMentions(owners, firsts, lasts + 1, found.types, found.scores)


def floor_by_type(floor: Floor | None, labels: Sequence[str], rest: float) -> dict[str, float]:
    """RETURNS (dict[str, float]): The least score of each type; `rest` for those that a floor by
    type lacks, and for all if there is none."""
    if floor is None or isinstance(floor, Mapping):
        return dict.fromkeys(labels, rest) | dict(floor or {})
    return dict.fromkeys(labels, floor)


def undo_floors(calibration: Calibration | None, floors: Sequence[float]) -> Array:
    """RETURNS (Array): Least scores before calibration, for a mention whose text training had or
    had not, (n_types,). They are at least LEAST, from which on calibration tells scores apart."""
    least = numpy.array(floors)
    if calibration is not None:
        offset = calibration.intercept + max(0.0, calibration.unseen)
        least = calibration._replace(intercept=offset, unseen=0.0).undo(least, ())
    return numpy.maximum(least * (1 - 1e-9), LEAST)


def score_mentions(
    docs: Sequence[Doc],
    found: DocumentMentions,
    labels: Sequence[str],
    calibration: Calibration | None,
    floors: Mapping[str, float],
) -> list[list[ScoredMention]]:
    """Calibrate the scores of mentions.

    labels (Sequence[str]): The types by number.
    floors (Mapping[str, float]): Least calibrated scores by type; mentions below are left out.
    RETURNS (list[list[ScoredMention]]): For each document its mentions, in order.
    """
    owners, starts, ends, types, scores = found
    spans = [row.tolist() for row in (owners, starts, ends)]
    if calibration is not None:
        # Without spaces, which calibration ignores: a Span's text takes four times as long.
        texts = (
            "".join([docs[owner][i].text for i in range(start, end)])
            for owner, start, end in zip(*spans, strict=True)
        )
        scores = calibration.apply(scores, texts)
    mentions: list[list[ScoredMention]] = [[] for _ in docs]
    names = [labels[i] for i in types.tolist()]
    for owner, start, end, label, score in zip(*spans, names, scores.tolist(), strict=True):
        if score >= floors[label]:
            mentions[owner].append(ScoredMention(start, end, label, score))
    return mentions
