"""Error analysis: mistakes by kind, and F1 by properties of mentions."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span

KINDS = ("type", "boundary", "type and boundary", "missed", "spurious")
Bucket = Callable[[Span], str]
Key = tuple[int, int, str]  # start, end, type


class Mistake(NamedTuple):
    """A missed gold mention, a spurious predicted one, or a pair of overlapping ones."""

    kind: str  # of KINDS
    gold: Span | None
    predicted: Span | None


def mention_key(span: Span) -> Key:
    return span.start, span.end, span.label_


def find_mistakes(gold: Doc, predicted: Doc) -> list[Mistake]:
    """Pair the mentions that don't match exactly by overlap: each predicted mention with the first
    gold one that shares a word with it, one to one. This is the matching of the MUC categories
    (nervaluate's "strict"); their "incorrect" is split into three kinds here.

    RETURNS (list[Mistake]): In the order of the document.
    """
    exact = {mention_key(ent) for ent in gold.ents} & {mention_key(ent) for ent in predicted.ents}
    left = [ent for ent in gold.ents if mention_key(ent) not in exact]
    errors = []
    for ent in predicted.ents:
        if mention_key(ent) in exact:
            continue
        match = next((g for g in left if g.start < ent.end and ent.start < g.end), None)
        if match is None:
            errors.append(Mistake("spurious", None, ent))
            continue
        left.remove(match)
        same_span = (match.start, match.end) == (ent.start, ent.end)
        same_type = match.label_ == ent.label_
        kind = "type" if same_span else "boundary" if same_type else "type and boundary"
        errors.append(Mistake(kind, match, ent))
    errors += [Mistake("missed", ent, None) for ent in left]
    return sorted(errors, key=lambda error: (error.gold or error.predicted).start)  # type: ignore[union-attr]


def count_mistakes(gold: Iterable[Doc], predicted: Iterable[Doc]) -> dict[str, int]:
    """RETURNS (dict[str, int]): Errors of each kind."""
    counts = Counter(
        error.kind for pair in zip(gold, predicted, strict=True) for error in find_mistakes(*pair)
    )
    return {kind: counts[kind] for kind in KINDS}


def confusion(gold: Sequence[Doc], predicted: Sequence[Doc]) -> dict[str, Any]:
    """Confusion matrix of types, over exact mentions and the pairs of find_mistakes.

    RETURNS (dict[str, Any]): `types`, sorted; `counts`, a row for each gold type and one for
        spurious mentions, a column for each predicted type and one for missed ones. A mention of
        the right type with wrong ends is on the diagonal.
    """
    pairs = Counter[tuple[str, str]]()
    for gold_doc, doc in zip(gold, predicted, strict=True):
        found = {mention_key(ent) for ent in doc.ents}
        pairs.update((ent.label_, ent.label_) for ent in gold_doc.ents if mention_key(ent) in found)
        for error in find_mistakes(gold_doc, doc):
            pairs[label_of(error.gold), label_of(error.predicted)] += 1
    types = sorted({type_ for pair in pairs for type_ in pair if type_})
    order = [*types, ""]
    return {"types": types, "counts": [[pairs[row, column] for column in order] for row in order]}


def label_of(span: Span | None) -> str:
    return span.label_ if span else ""


def f1_by(
    gold: Sequence[Doc], predicted: Sequence[Doc], bucket: Bucket
) -> dict[str, dict[str, float]]:
    """Score mentions in groups.

    bucket (Bucket): The group of a mention. It depends on words and type only, so a correct
        mention is in the same group in gold and prediction.
    RETURNS (dict[str, dict[str, float]]): For each bucket precision, recall and f1 (0 where
        undefined) and support, its gold mentions; buckets in order.
    """
    n_right, n_predicted, n_gold = Counter[str](), Counter[str](), Counter[str]()
    for gold_doc, doc in zip(gold, predicted, strict=True):
        expected = {mention_key(ent) for ent in gold_doc.ents}
        n_gold.update(bucket(ent) for ent in gold_doc.ents)
        n_predicted.update(bucket(ent) for ent in doc.ents)
        n_right.update(bucket(ent) for ent in doc.ents if mention_key(ent) in expected)
    return {
        name: {
            "precision": n_right[name] / max(1, n_predicted[name]),
            "recall": n_right[name] / max(1, n_gold[name]),
            "f1": 2 * n_right[name] / (n_predicted[name] + n_gold[name]),
            "support": n_gold[name],
        }
        for name in sorted(n_gold.keys() | n_predicted.keys())
    }


def by_length(span: Span) -> str:
    """RETURNS (str): Words, "4+" from four."""
    return str(len(span)) if len(span) < 4 else "4+"


def by_position(span: Span) -> str:
    """RETURNS (str): The third of the document in which the mention begins."""
    return ("1st third", "2nd third", "3rd third")[3 * span.start // len(span.doc)]


def by_seen(train: Iterable[tuple[str, str]]) -> Bucket:
    """RETURNS (Bucket): Whether a mention's text and type are among those of `train`."""
    known = set(train)
    return lambda span: "seen" if (span.text, span.label_) in known else "unseen"
