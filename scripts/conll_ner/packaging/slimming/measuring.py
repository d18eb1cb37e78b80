"""What a slim pipeline loses on gold documents."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.evaluation.seqeval_scores import annotate_gold, score
from conll_ner.packaging.slimming.source import Source

Mention = tuple[int, int, int, str]  # document, start, end, type


def measure_loss(
    nlp: Language, source: Source, slim: Language, gold: Sequence[Doc]
) -> dict[str, Any]:
    """Compare a slim pipeline with the one that it was made from, in float32, both with the same
    calibration.

    RETURNS (dict[str, Any]): `f1_torch` and `f1` (0 to 1); `same`, the mentions that both find;
        `different`, those that only one does; `score_change`, the largest of a mention that both
        find.
    """
    with in_float32(source):
        expected = annotate_gold(nlp, gold)
    found = annotate_gold(slim, gold)
    before, after = scores_of(expected), scores_of(found)
    same = before.keys() & after.keys()
    return {
        "f1_torch": f1_of(gold, expected),
        "f1": f1_of(gold, found),
        "same": len(same),
        "different": len(before.keys() ^ after.keys()),
        "score_change": max((abs(before[m] - after[m]) for m in same), default=0.0),
    }


@contextmanager
def in_float32(source: Source) -> Iterator[None]:
    """Run the transformer in float32."""
    windowing = source.windowing
    source.transformer.attrs["windowing"] = replace(windowing, precision="float32")
    try:
        yield
    finally:
        source.transformer.attrs["windowing"] = windowing


def f1_of(gold: Sequence[Doc], predicted: Sequence[Doc]) -> float:
    return float(score(gold, predicted)["conlleval"]["overall"]["f1"])


def scores_of(docs: Sequence[Doc]) -> dict[Mention, float]:
    """RETURNS (dict[Mention, float]): The scores of the mentions that have one."""
    return {
        (i, ent.start, ent.end, ent.label_): ent._.score
        for i, doc in enumerate(docs)
        for ent in doc.ents
        if ent._.score is not None
    }
