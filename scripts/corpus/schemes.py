"""Label schemes: decode labels to mentions, and encode mentions as labels."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from common.console import shorten


class Tag(NamedTuple):
    """A label in two parts: `B-PER` is ("B", "PER"), `O` is ("O", "")."""

    prefix: str
    type: str


OUTSIDE = Tag("O", "")


class Mention(NamedTuple):
    """A mention: its words [start, end) within the sentence, and its type."""

    start: int
    end: int
    type: str


class LabelError(ValueError):
    """An illegal label, at word `index` of the sentence."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index


# A rule takes two adjacent labels. It returns whether the second may follow the first, and whether
# the second opens a mention. IOB1: http://www.clips.uantwerpen.be/conll2003/ner/
Rule = Callable[[Tag, Tag], tuple[bool, bool]]


def _iob1(before: Tag, tag: Tag) -> tuple[bool, bool]:
    touches = before.type == tag.type and before != OUTSIDE
    if tag.prefix == "B":  # only between two adjacent mentions of one type
        return touches, True
    return tag.prefix in "IO", tag.prefix == "I" and not touches


def _iob2(before: Tag, tag: Tag) -> tuple[bool, bool]:
    if tag.prefix == "I":
        return before.type == tag.type, False
    return tag.prefix in "BO", tag.prefix == "B"


def _bilou(before: Tag, tag: Tag) -> tuple[bool, bool]:
    if before.prefix in "BI":  # a mention is open: continue or end it
        return tag.prefix in "IL" and tag.type == before.type, False
    return tag.prefix in "BUO", tag.prefix in "BU"


def _iobes(before: Tag, tag: Tag) -> tuple[bool, bool]:
    names = {"S": "U", "E": "L", "U": "?", "L": "?"}
    before, tag = (t._replace(prefix=names.get(t.prefix, t.prefix)) for t in (before, tag))
    return _bilou(before, tag)


SCHEMES: dict[str, Rule] = {"iob1": _iob1, "iob2": _iob2, "bilou": _bilou, "iobes": _iobes}


def parse_tag(label: str) -> Tag:
    """Split a label into prefix and type.

    RETURNS (Tag): E.g. ("B", "PER"). A type may contain hyphens.
    RAISES (ValueError): If the label belongs to no known scheme.
    """
    if label == "O":
        return OUTSIDE
    match = re.fullmatch(r"([BILUES])-(.+)", label)
    if match is None:
        quoted = shorten(repr(label))
        raise ValueError(f"label {quoted} fits no scheme: expected O or, for example, B-PER")
    return Tag(match[1], match[2])


def decode_mentions(labels: Sequence[str], scheme: str) -> list[Mention]:
    """Decode the labels of a sentence to mentions, strictly.

    labels (Sequence[str]): One label per word.
    scheme (str): A key of SCHEMES.
    RETURNS (list[Mention]): In order, without overlap.
    RAISES (LabelError): At the first label that is illegal in the scheme.
    """
    rule = SCHEMES[scheme]
    mentions: list[Mention] = []
    start, before = None, OUTSIDE
    for index, label in enumerate([*labels, "O"]):
        try:
            tag = parse_tag(label)
        except ValueError as error:
            raise LabelError(index, str(error)) from None
        legal, opens = rule(before, tag)
        if not legal:
            first = shorten(labels[index - 1]) if index > 0 else "the sentence start"
            if index == len(labels):
                raise LabelError(index - 1, f"mention not closed at {first}, illegal in {scheme}")
            raise LabelError(index, f"{shorten(label)} after {first} is illegal in {scheme}")
        if start is not None and (opens or tag == OUTSIDE):
            mentions.append(Mention(start, index, before.type))
            start = None
        if opens:
            start = index
        before = tag
    return mentions


def encode_iob2(length: int, mentions: Iterable[Mention]) -> list[str]:
    """RETURNS (list[str]): The labels of `length` words in IOB2."""
    labels = ["O"] * length
    for start, end, type_ in mentions:
        labels[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return labels
