"""Mentions of a document as plain data: by words, by characters, and as JSON; and what their labels
may be."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from spacy.tokens import Doc, Span

from conll_ner.common.console import UNSAFE, InputError, shorten
from token_ner import list_candidates

# Schemes have 4 labels (CoNLL-2003), 18 (OntoNotes), 66 (Few-NERD), or a few hundred (fine-grained
# ones, such as Sekine's extended hierarchy). With more, a field of texts was read as the labels.
MAX_LABELS = 1000
MAX_LABEL_LENGTH = 200  # characters; paths through such hierarchies have below 100
Item = TypeVar("Item")


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
        describe_span(ent, ent._.score if ent.has_extension("score") else None) for ent in doc.ents
    ]


def describe_candidates(doc: Doc) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): As of `list_mentions`, for each candidate."""
    return [describe_span(span, score) for span, score in list_candidates(doc)]


def describe_span(span: Span, score: float | None) -> dict[str, Any]:
    return {
        "text": span.text,
        "label": span.label_,
        "score": score,
        "start": span.start_char,
        "end": span.end_char,
    }


def label_problem(label: str) -> str:
    """RETURNS (str): What is wrong with a label; empty if nothing is."""
    if not label.strip():
        return "without a label"
    if len(label) > MAX_LABEL_LENGTH:
        return f"the label has more than {MAX_LABEL_LENGTH} characters"
    found = UNSAFE.search(label)
    return f"the label contains the character U+{ord(found[0]):04X}" if found else ""


def check_labels(items: Iterable[Item], source: object) -> Iterator[Item]:
    """YIELDS: The items.
    RAISES (InputError): If the documents among them have a wrong label, or more than MAX_LABELS
        different ones."""
    seen: set[int] = set()
    for number, item in enumerate(items, start=1):
        if isinstance(item, Doc):
            for label in {*item.to_array("ENT_TYPE").tolist()} - seen - {0}:
                seen.add(label)
                problem = label_problem(item.vocab.strings[label])
                if problem:
                    quoted = shorten(repr(item.vocab.strings[label]))
                    raise InputError(f"{source}, document {number}: {problem}: {quoted}")
            if len(seen) > MAX_LABELS:
                raise InputError(
                    f"{source} has more than {MAX_LABELS:,} different labels; are they texts?"
                )
        yield item
