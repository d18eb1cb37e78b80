"""Render the mistakes of a pipeline with displaCy: gold and predicted mentions in context."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from spacy.displacy.render import EntityRenderer
from spacy.tokens import Doc, Span

from conll_ner.data.mentions import to_mention
from conll_ner.evaluation.corrections import Correction, correction_of
from conll_ner.evaluation.mistakes import Mistake, find_mistakes, label_of
from token_ner import sentence_starts

# displaCy's default template repeats its inline style in every mention.
MENTION = '<mark class="{mark}">{text}<b>{label}</b></mark>'
CONTEXT_WORDS = 15  # words before and after a mistake if sentences are unknown


class MistakeView(NamedTuple):
    """A mistake in its context, as HTML."""

    split: str
    document: int  # from 1
    kind: str
    gold_type: str  # empty if there is none
    predicted_type: str
    score: float | None  # confidence score of the predicted mention
    gold: str  # HTML
    predicted: str  # HTML
    correction: Correction  # of gold, if the prediction is right

    @property
    def types(self) -> list[str]:
        return sorted({type_ for type_ in (self.gold_type, self.predicted_type) if type_})


class DocumentView(NamedTuple):
    """A complete document with mistakes, as HTML."""

    split: str
    number: int  # from 1
    gold: str  # HTML
    predicted: str  # HTML


def make_views(
    split: str, gold: Sequence[Doc], predicted: Sequence[Doc], sha256: str
) -> tuple[list[MistakeView], list[DocumentView]]:
    """RETURNS (tuple[list[MistakeView], list[DocumentView]]): The mistakes of a split in document
    order, and the documents with mistakes. sha256: of the gold file."""
    mistakes, documents = [], []
    for number, (gold_doc, doc) in enumerate(zip(gold, predicted, strict=True), start=1):
        errors = find_mistakes(gold_doc, doc)
        for error in errors:
            start, end = context_range(gold_doc, error)
            mistake = MistakeView(
                split,
                number,
                error.kind,
                label_of(error.gold),
                label_of(error.predicted),
                error.predicted._.score if error.predicted is not None else None,
                render(gold_doc, start, end, [error.gold]),
                render(doc, start, end, [error.predicted]),
                correction_of(error, number, sha256),
            )
            mistakes.append(mistake)
        if errors:
            gold_side = render(gold_doc, 0, len(gold_doc), [error.gold for error in errors])
            side = render(doc, 0, len(doc), [error.predicted for error in errors])
            documents.append(DocumentView(split, number, gold_side, side))
    return mistakes, documents


def sort_by_confidence(mistakes: Sequence[MistakeView]) -> list[MistakeView]:
    """RETURNS (list[MistakeView]): The mistakes, most confident first. Missed mentions have no
    score and come last."""
    return sorted(mistakes, key=lambda m: 1.0 if m.score is None else -m.score)


def context_range(gold: Doc, error: Mistake) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): The words [start, end) of the gold sentences with a mistake. If
    sentences are unknown: up to CONTEXT_WORDS words before and after it."""
    ents = [ent for ent in error[1:] if ent is not None]
    first, last = min(ent.start for ent in ents), max(ent.end for ent in ents)
    starts = sentence_starts(gold)
    if not len(starts):
        return max(0, first - CONTEXT_WORDS), min(len(gold), last + CONTEXT_WORDS)
    before = starts[starts <= first]
    after = starts[starts >= last]
    return (int(before[-1]) if len(before) else 0), (int(after[0]) if len(after) else len(gold))


def render(doc: Doc, start: int, end: int, wrong: Iterable[Span | None]) -> str:
    """RETURNS (str): HTML of the words [start, end) of a doc, with wrong mentions marked."""
    part = doc[start:end]
    wrong_keys = {to_mention(ent) for ent in wrong if ent is not None}
    ents = [
        {
            "start": ent.start_char - part.start_char,
            "end": ent.end_char - part.start_char,
            "label": escape(ent.label_),
            "params": {"mark": "wrong" if to_mention(ent) in wrong_keys else ""},
        }
        for ent in doc.ents
        if start <= ent.start and ent.end <= end
    ]
    return EntityRenderer({"template": MENTION}).render_ents(part.text, ents, None).strip()
