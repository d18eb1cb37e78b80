"""The mistakes of a pipeline, each in its sentence, gold next to predicted, by displaCy."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from spacy.displacy.render import EntityRenderer
from spacy.tokens import Doc, Span

from scoring.mistakes import Mistake, find_mistakes, mention_key
from token_ner import sentence_starts

# displaCy's own template repeats its style in every mention.
MENTION = '<mark class="{mark}">{text}<b>{label}</b></mark>'
AROUND = 15  # words before and after a mistake, where sentences are unknown


class MistakeView(NamedTuple):
    """A mistake as HTML."""

    split: str
    document: int  # from 1
    kind: str
    types: list[str]  # gold's and the predicted one
    score: float | None  # of the predicted mention
    gold: str  # HTML
    predicted: str  # HTML


class DocumentView(NamedTuple):
    """A complete document with mistakes, as HTML."""

    split: str
    number: int  # from 1
    gold: str  # HTML
    predicted: str  # HTML


def browse(
    split: str, gold: Sequence[Doc], predicted: Sequence[Doc]
) -> tuple[list[MistakeView], list[DocumentView]]:
    """RETURNS (tuple[list[MistakeView], list[DocumentView]]): The mistakes in order, and the
    documents that contain them."""
    mistakes, documents = [], []
    for number, (gold_doc, doc) in enumerate(zip(gold, predicted, strict=True), start=1):
        errors = find_mistakes(gold_doc, doc)
        for error in errors:
            start, end = surroundings(gold_doc, error)
            mistake = MistakeView(
                split,
                number,
                error.kind,
                sorted({ent.label_ for ent in error[1:] if ent is not None}),
                error.predicted._.score if error.predicted is not None else None,
                render(gold_doc, start, end, [error.gold]),
                render(doc, start, end, [error.predicted]),
            )
            mistakes.append(mistake)
        if errors:
            gold_side = render(gold_doc, 0, len(gold_doc), [error.gold for error in errors])
            side = render(doc, 0, len(doc), [error.predicted for error in errors])
            documents.append(DocumentView(split, number, gold_side, side))
    return mistakes, documents


def by_confidence(mistakes: Sequence[MistakeView]) -> list[MistakeView]:
    """RETURNS (list[MistakeView]): The most confident first. Missed mentions have no score and
    come last."""
    return sorted(mistakes, key=lambda m: 1.0 if m.score is None else -m.score)


def surroundings(gold: Doc, error: Mistake) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): First and last word, as a slice, of the gold sentences that an
    error is in."""
    ents = [ent for ent in error[1:] if ent is not None]
    first, last = min(ent.start for ent in ents), max(ent.end for ent in ents)
    starts = sentence_starts(gold)
    if not len(starts):
        return max(0, first - AROUND), min(len(gold), last + AROUND)
    before = starts[starts <= first]
    after = starts[starts >= last]
    return (int(before[-1]) if len(before) else 0), (int(after[0]) if len(after) else len(gold))


def render(doc: Doc, start: int, end: int, wrong: Iterable[Span | None]) -> str:
    """RETURNS (str): HTML of a part of a doc, the wrong ones of its mentions marked."""
    part = doc[start:end]
    wrong_keys = {mention_key(ent) for ent in wrong if ent is not None}
    ents = [
        {
            "start": ent.start_char - part.start_char,
            "end": ent.end_char - part.start_char,
            "label": escape(ent.label_),
            "params": {"mark": "wrong" if mention_key(ent) in wrong_keys else ""},
        }
        for ent in doc.ents
        if start <= ent.start and ent.end <= end
    ]
    return EntityRenderer({"template": MENTION}).render_ents(part.text, ents, None).strip()
