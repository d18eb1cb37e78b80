"""Error analysis: mistakes by kind, and F1 by properties of mentions."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span

from conll_ner.data.mentions import to_mention, word_mentions

KINDS = ("type", "boundary", "type and boundary", "missed", "spurious")
Bucket = Callable[[Span], str]


class Mistake(NamedTuple):
    """A missed gold mention, a spurious predicted mention, or two that overlap but differ."""

    kind: str  # one of KINDS
    gold: Span | None
    predicted: Span | None


def find_mistakes(gold: Doc, predicted: Doc) -> list[Mistake]:
    """Find and classify the mistakes in a document.

    Mentions without an exact match are paired by overlap, one to one: each predicted mention with
    the first gold mention that shares a word with it. This is the matching of the MUC categories
    (nervaluate's "strict"), with "incorrect" split into three kinds.

    RETURNS (list[Mistake]): The mistakes in document order.
    """
    exact = word_mentions(gold) & word_mentions(predicted)
    left = [ent for ent in gold.ents if to_mention(ent) not in exact]
    errors = []
    for ent in predicted.ents:
        if to_mention(ent) in exact:
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
    """RETURNS (dict[str, int]): The number of mistakes of each kind."""
    counts = Counter(
        error.kind for pair in zip(gold, predicted, strict=True) for error in find_mistakes(*pair)
    )
    return {kind: counts[kind] for kind in KINDS}


def confusion(gold: Sequence[Doc], predicted: Sequence[Doc]) -> dict[str, Any]:
    """Compute the confusion matrix of types, from exact matches and the pairs of find_mistakes.

    RETURNS (dict[str, Any]): `types`, sorted; `counts`, with a row for each gold type and one for
        spurious mentions, and a column for each predicted type and one for missed mentions. A
        boundary mistake with the correct type is on the diagonal.
    """
    pairs = Counter[tuple[str, str]]()
    for gold_doc, doc in zip(gold, predicted, strict=True):
        found = word_mentions(doc)
        pairs.update((ent.label_, ent.label_) for ent in gold_doc.ents if to_mention(ent) in found)
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
    """Score mentions by bucket.

    bucket (Bucket): Gives the bucket of a mention. It may use only words and type, so that a
        correct mention has the same bucket in gold and prediction.
    RETURNS (dict[str, dict[str, float]]): For each bucket, sorted: `precision`, `recall` and `f1`
        (0 if undefined), and `support`, the number of gold mentions.
    """
    n_right, n_predicted, n_gold = Counter[str](), Counter[str](), Counter[str]()
    for gold_doc, doc in zip(gold, predicted, strict=True):
        expected = word_mentions(gold_doc)
        n_gold.update(bucket(ent) for ent in gold_doc.ents)
        n_predicted.update(bucket(ent) for ent in doc.ents)
        n_right.update(bucket(ent) for ent in doc.ents if to_mention(ent) in expected)
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
    """RETURNS (str): The number of words; "4+" for four or more."""
    return str(len(span)) if len(span) < 4 else "4+"


def by_position(span: Span) -> str:
    """RETURNS (str): The third of the document in which the mention starts."""
    return ("1st third", "2nd third", "3rd third")[3 * span.start // len(span.doc)]


def by_seen(train: Iterable[Doc]) -> Bucket:
    """RETURNS (Bucket): "seen" if a document of `train` has a mention of the same words and type,
    else "unseen"."""
    known = {words_and_type(ent) for doc in train for ent in doc.ents}
    return lambda span: "seen" if words_and_type(span) in known else "unseen"


def words_and_type(span: Span) -> tuple[str, str]:
    """RETURNS (tuple[str, str]): What is the same in two files with other spaces: those of a column
    file are unknown."""
    return " ".join(token.text for token in span), span.label_
