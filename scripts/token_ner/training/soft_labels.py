"""A teacher's distributions over labels, as the gold of a document. Needs spaCy and numpy only."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy
from spacy.tokens import Doc
from spacy.training import Example

from ..types import Array

TEACHER = "teacher"  # key in doc.user_data, which DocBin stores


class SoftLabels(NamedTuple):
    """The distributions of a teacher.

    labels (Sequence[str]): Names of the columns, such as "O" or "B-PER".
    probabilities (Array): Probability of each label for each word, (n_words, n_labels), float16.
    """

    labels: Sequence[str]
    probabilities: Array


def set_soft_labels(doc: Doc, soft: SoftLabels) -> None:
    """Store the distributions of a document's words in it."""
    doc.user_data[TEACHER] = {"labels": list(soft.labels), "probabilities": soft.probabilities}


def get_soft_labels(doc: Doc) -> SoftLabels | None:
    """RETURNS (SoftLabels | None): The distributions of a document; None if it has none."""
    saved = doc.user_data.get(TEACHER)
    return None if saved is None else SoftLabels(**saved)


def soft_targets(eg: Example, labels: Sequence[str]) -> Array | None:
    """Align a teacher's distributions with the words that are predicted.

    labels (Sequence[str]): The student's labels.
    RETURNS (Array | None): (n_words, n_labels) of the predicted document, rows of zeros for words
        that aren't also words of the teacher, and for whitespace. None if there is no teacher.
    RAISES (ValueError): If the teacher has labels that the student hasn't.
    """
    soft = get_soft_labels(eg.reference)
    if soft is None:
        return None
    unknown = set(soft.labels) - set(labels)
    if unknown:
        raise ValueError(
            f"the teacher's labels {', '.join(sorted(unknown))} are not among {', '.join(labels)}: "
            "teacher and student need the same types and scheme"
        )
    forward, backward = eg.alignment.x2y, eg.alignment.y2x
    lengths = numpy.asarray(forward.lengths)
    single = numpy.flatnonzero(lengths == 1)
    sources = numpy.asarray(forward.data)[(numpy.cumsum(lengths) - lengths)[single]]
    same = numpy.asarray(backward.lengths)[sources] == 1
    spaces = eg.predicted.to_array("IS_SPACE")[single] == 1
    kept = same & ~spaces
    columns = [list(labels).index(label) for label in soft.labels]
    targets = numpy.zeros((len(eg.predicted), len(labels)))
    rows = single[kept][:, None]
    targets[rows, columns] = soft.probabilities[sources[kept]]
    sums = targets.sum(axis=1, keepdims=True)
    return cast(Array, targets / numpy.where(sums > 0, sums, 1.0))  # float16 sums to nearly 1
