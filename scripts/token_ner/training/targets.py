"""What the model should predict for each word: gold, or a teacher's distribution over labels. Needs
spaCy and numpy only."""

from collections.abc import Sequence

import numpy
from spacy.tokens import Doc
from spacy.training import Example

from ..types import Array
from .soft_labels import soft_targets

BIO_PREFIXES = {"B": "B", "I": "I", "L": "I", "U": "B"}  # from BILUO, spaCy's gold format
INSIDE, BEGIN = 1, 3  # of spaCy's token.ent_iob; 2 is O, 0 is missing


def list_labels(types: Sequence[str], bilou: bool) -> list[str]:
    """RETURNS (list[str]): The names of the model's columns: O, all B, all I, and in BILOU all L
    and all U."""
    return [
        "O",
        *(f"{prefix}-{type_}" for prefix in "BILU"[: 4 if bilou else 2] for type_ in types),
    ]


def make_targets(eg: Example, types: Sequence[str], bilou: bool) -> Array:
    """RETURNS (Array): The distribution over labels that each word should have, (n_words,
        n_labels); zeros where gold is missing or doesn't align.
    RAISES (ValueError): If gold or the teacher has a type that isn't among the types."""
    labels = list_labels(types, bilou)
    soft = soft_targets(eg, labels)
    if soft is not None:
        return soft
    columns = gold_columns(eg, types, bilou)
    targets = numpy.zeros((len(columns), len(labels)))
    rows = numpy.flatnonzero(columns >= 0)
    targets[rows, columns[rows]] = 1.0
    return targets


def gold_columns(eg: Example, types: Sequence[str], bilou: bool) -> Array:
    """RETURNS (Array): The column of each word's gold label, (n_words,); -1 where gold is missing
    or doesn't align, and for whitespace."""
    predicted, gold = eg.predicted, eg.reference
    same = len(predicted) == len(gold) and (predicted.to_array("ORTH") == gold.to_array("ORTH"))
    return columns_of_words(gold, types, bilou) if numpy.all(same) else aligned(eg, types, bilou)


def aligned(eg: Example, types: Sequence[str], bilou: bool) -> Array:
    """RETURNS (Array): As `gold_columns`, by spaCy's alignment of characters."""
    ids = {label: i for i, label in enumerate(list_labels(types, bilou))}
    spaces = eg.predicted.to_array("IS_SPACE")
    columns = []
    for label, space in zip(eg.get_aligned_ner(), spaces, strict=True):
        if label is None or label == "-" or space:
            columns.append(-1)
            continue
        name = label if bilou or label == "O" else BIO_PREFIXES[label[0]] + label[1:]
        if name not in ids:
            raise ValueError(explain_unknown(label[2:], types))
        columns.append(ids[name])
    return numpy.array(columns, dtype="int64")


def columns_of_words(gold: Doc, types: Sequence[str], bilou: bool) -> Array:
    """RETURNS (Array): As `gold_columns`, for the words of gold itself, without an alignment,
    which takes long."""
    iob, found, spaces = gold.to_array(["ENT_IOB", "ENT_TYPE", "IS_SPACE"]).T
    known = numpy.array([gold.vocab.strings[type_] for type_ in types], dtype="uint64")
    is_type = found[:, None] == known
    unknown = (found != 0) & ~is_type.any(axis=1)
    if unknown.any():
        raise ValueError(explain_unknown(gold[int(unknown.argmax())].ent_type_, types))
    begins, goes_on = iob == BEGIN, iob == INSIDE
    prefix = numpy.where(begins, 0, 1)  # a position in "BILU"
    if bilou:
        is_last = ~numpy.append(goes_on[1:], False)
        prefix = numpy.where(is_last, numpy.where(begins, 3, 2), prefix)
    columns = 1 + prefix * len(types) + is_type.argmax(axis=1)
    # spaCy marks a blocked token by B without a type.
    missing = (iob == 0) | (begins & (found == 0)) | (spaces == 1)
    return numpy.where(missing, -1, numpy.where(begins | goes_on, columns, 0))


def explain_unknown(type_: str, types: Sequence[str]) -> str:
    return (
        f"the type {type_} is not among {', '.join(types)}: initialize the pipeline on data with "
        "all types"
    )
