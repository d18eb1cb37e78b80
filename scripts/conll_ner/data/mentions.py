"""Mentions of a document as plain data: by words, by characters, and as JSON."""

from typing import Any, NamedTuple

from spacy.tokens import Doc, Span


class Mention(NamedTuple):
    """A mention: its words [start, end) within the sentence or document, and its label."""

    start: int
    end: int
    label: str


class CharMention(NamedTuple):
    """A mention: its characters [start, end) in code points, and its label."""

    start: int
    end: int
    label: str


def to_mention(span: Span) -> Mention:
    return Mention(span.start, span.end, span.label_)


def word_mentions(doc: Doc) -> set[Mention]:
    return set(map(to_mention, doc.ents))


def char_mentions(doc: Doc) -> set[CharMention]:
    return {CharMention(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}


def list_mentions(doc: Doc) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): For each mention its text, label, confidence score (None if
    the pipeline has none), and start and end as character offsets; the end is exclusive."""
    return [
        {
            "text": ent.text,
            "label": ent.label_,
            "score": ent._.score if ent.has_extension("score") else None,
            "start": ent.start_char,
            "end": ent.end_char,
        }
        for ent in doc.ents
    ]
