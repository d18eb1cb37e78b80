"""The loss of the head, and what a training that learns nothing should look at. Needs spaCy and
numpy only."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy

from ..lattice import log_softmax
from ..types import Array

OUTSIDE = "O"
# spaCy's default. Pretrained transformers are fine-tuned at 1e-5 to 5e-5 (BERT, appendix A.3);
# small ones take 2e-4 here (docs/results/experiments.md).
HOT = 1e-3
PRETRAINED = 256  # the least width of transformers that are too large for such rates
SILENT = 200  # updates without a predicted mention
ADVICE = (
    "pretrained transformers need about 5e-5, small ones 2e-4: set training.optimizer.learn_rate, "
    "or write a config with python -m spacy ner init-config"
)


def check_weights(name: str, weights: Mapping[str, float] | None, types: Sequence[str]) -> None:
    """RAISES (ValueError): If a component's weights of labels aren't numbers above 0, or a label is
    neither O nor among the types, if there are some."""
    for label, weight in (weights or {}).items():
        if not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise ValueError(f"{name}: label_weights must be above 0, not {weight}")
        if types and label not in (OUTSIDE, *types):
            raise ValueError(f"{name}: label_weights has {label}, which isn't a type of it")


def weigh_columns(weights: Mapping[str, float] | None, columns: Sequence[str]) -> Array:
    """RETURNS (Array): The weight of each column, (n_labels,): that of its type, or of O; 1 where
    there is none. columns: such as "B-PER"."""
    return numpy.array([(weights or {}).get(c.partition("-")[2] or c, 1.0) for c in columns])


def cross_entropy(logits: Array, targets: Array, weights: Array) -> tuple[float, Array]:
    """Weighted cross-entropy, as torch's CrossEntropyLoss has it: the mean over the words that have
    a target, by the weights of their targets.

    logits (Array): (n_words, n_labels).
    targets (Array): Distributions over labels, (n_words, n_labels); zeros for words without one.
    weights (Array): Of the labels, (n_labels,).
    RETURNS (tuple[float, Array]): The loss, and its gradient by the logits.
    """
    log_probabilities = log_softmax(logits.astype("float64"))
    rows = numpy.flatnonzero(targets.any(axis=1))
    weighted = targets[rows] * weights
    total = max(weighted.sum(), 1e-12)
    of_rows = log_probabilities[rows]
    gradient = numpy.zeros(logits.shape, dtype="float32")
    shares = numpy.exp(of_rows) * weighted.sum(axis=1, keepdims=True)
    gradient[rows] = (shares - weighted) / total
    return -float((weighted * of_rows).sum()) / total, gradient


class Watch:
    """Warns of a training that learns nothing."""

    def __init__(self) -> None:
        self.silent = 0  # updates in a row in which mentions were there and none was predicted

    def see(self, logits: Array, targets: Array) -> None:
        """Look at the (n_words, n_labels) of an update. Column 0 is O."""
        if targets[:, 1:].any():
            found = logits[:, 1:].max(axis=1) > logits[:, 0]
            self.silent = 0 if found.any() else self.silent + 1

    def warn(self, name: str, rate: float, width: int) -> None:
        """Warn of a component's learning rate, or that it predicts no mention; each once.

        width (int): Of the transformer's vectors; 0 without one.
        """
        if width >= PRETRAINED and rate >= HOT:
            warnings.warn(f"{name}: the learning rate is {rate:g}; {ADVICE}", stacklevel=1)
        if self.silent == SILENT:
            warnings.warn(
                f"{name}: no mention was predicted in {SILENT} updates; the learning rate is "
                f"{rate:g}; {ADVICE}",
                stacklevel=1,
            )
