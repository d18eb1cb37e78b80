"""Confidence intervals and comparisons of F1 by the bootstrap over documents.

Mentions and sentences of one document are not independent, so resampling them would give intervals
that are too narrow.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy
from scipy.stats import bootstrap
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.data.mentions import word_mentions

Counts = Sequence[Sequence[int]]  # correct, predicted and gold mentions of each document: (n, 3)
SAMPLES = 1000


class Difference(NamedTuple):
    """The F1 difference of two pipelines on the same documents."""

    f1: float
    low: float  # lower bound of the 95 % confidence interval
    high: float  # upper bound
    p_value: float


def count_by_document(gold: Sequence[Doc], predicted: Sequence[Doc]) -> list[list[int]]:
    """RETURNS (list[list[int]]): The numbers of correct, predicted and gold mentions of each
    document. A correct mention has the exact span and type."""
    counts = []
    for gold_doc, doc in zip(gold, predicted, strict=True):
        expected, found = word_mentions(gold_doc), word_mentions(doc)
        counts.append([len(expected & found), len(found), len(expected)])
    return counts


def f1_score(right: Any, predicted: Any, gold: Any, axis: int = -1) -> Any:
    """RETURNS (Array): Micro-averaged F1 of counts along an axis; 0 without mentions."""
    mentions = numpy.sum(predicted, axis=axis) + numpy.sum(gold, axis=axis)
    return 2 * numpy.sum(right, axis=axis) / numpy.maximum(mentions, 1)


def resample(columns: numpy.ndarray, statistic: Callable[..., Any], samples: int, seed: int) -> Any:
    """Run scipy's bootstrap over documents.

    columns (Array): One row for each argument of the statistic, (k, n_documents).
    RETURNS (BootstrapResult): scipy's result, with percentile intervals.
    """
    return bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=samples,
        method="percentile",
        rng=numpy.random.default_rng(seed),
    )


def f1_interval(counts: Counts, samples: int = SAMPLES, seed: int = 0) -> list[float] | None:
    """RETURNS (list[float] | None): Lower and upper bound of the 95 % confidence interval of F1;
    None for fewer than two documents."""
    if len(counts) < 2:
        return None
    result = resample(numpy.array(counts).T, f1_score, samples, seed)
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


def paired_bootstrap(a: Counts, b: Counts, samples: int = SAMPLES, seed: int = 0) -> Difference:
    """Compare two pipelines on the same documents by the paired bootstrap.

    RETURNS (Difference): F1 of `a` minus F1 of `b`. `p_value` is the share of samples in which the
        better pipeline leads by more than twice the observed difference (Berg-Kirkpatrick et al.
        2012, https://aclanthology.org/D12-1091, figure 1).
    RAISES (InputError): If there are fewer than two documents, or the numbers differ.
    """
    if len(a) != len(b) or len(a) < 2:
        raise InputError(f"expected two or more documents from both, got {len(a)} and {len(b)}")

    def lead(*columns: Any, axis: int = -1) -> Any:
        first, second = columns[:3], columns[3:]
        return f1_score(*first, axis=axis) - f1_score(*second, axis=axis)  # type: ignore[misc]

    columns = numpy.concatenate([numpy.array(a).T, numpy.array(b).T])
    result = resample(columns, lead, samples, seed)
    observed = float(lead(*columns))
    leads = result.bootstrap_distribution * (1 if observed >= 0 else -1)
    interval = result.confidence_interval
    return Difference(
        observed,
        float(interval.low),
        float(interval.high),
        float(numpy.mean(leads > 2 * abs(observed))) if observed else 1.0,
    )
