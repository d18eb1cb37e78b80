"""Label schemes: decode labels to mentions, and encode mentions as labels."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.mentions import Mention, label_problem


class Tag(NamedTuple):
    """A label in two parts: `B-PER` is ("B", "PER"), `O` is ("O", "")."""

    prefix: str
    type: str


OUTSIDE = Tag("O", "")


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


def _bmes(before: Tag, tag: Tag) -> tuple[bool, bool]:
    names = {"M": "I", "I": "?"}
    return _iobes(*(t._replace(prefix=names.get(t.prefix, t.prefix)) for t in (before, tag)))


def _conlleval(before: Tag, tag: Tag) -> tuple[bool, bool]:
    """As the shared task's scorer reads labels that are illegal
    (https://www.clips.uantwerpen.be/conll2000/chunking/conlleval.txt)."""
    opens = tag.prefix in "BSU" or before.prefix in "OELSU" or before.type != tag.type
    return True, tag != OUTSIDE and opens


SCHEMES: dict[str, Rule] = {
    "iob1": _iob1,
    "iob2": _iob2,
    "bilou": _bilou,
    "iobes": _iobes,
    "bmes": _bmes,
    "io": _iob1,  # types without prefix, which `decode_mentions` gives an I
}


def parse_tag(label: str) -> Tag:
    """Split a label into prefix and type.

    RETURNS (Tag): E.g. ("B", "PER"). A type may contain hyphens.
    RAISES (ValueError): If the label belongs to no known scheme, or a mention's can't be it.
    """
    if label == "O":
        return OUTSIDE
    match = re.fullmatch(r"([BILUESM])-(.+)", label, re.DOTALL)
    if match is None:
        quoted = shorten(repr(label))
        raise ValueError(f"label {quoted} fits no scheme: expected O or, for example, B-PER")
    if problem := label_problem(match[2]):
        raise ValueError(f"{problem}: {shorten(repr(label))}")
    return Tag(match[1], match[2])


def decode_mentions(labels: Sequence[str], scheme: str, *, repair: bool = False) -> list[Mention]:
    """Decode the labels of a sentence to mentions, strictly or as conlleval does.

    labels (Sequence[str]): One label per word.
    scheme (str): A key of SCHEMES.
    repair (bool): Whether illegal labels are read as conlleval does.
    RETURNS (list[Mention]): In order, without overlap.
    RAISES (LabelError): At the first label that is illegal in the scheme or, with `repair`, that
        belongs to no scheme.
    """
    rule = _conlleval if repair else SCHEMES[scheme]
    if scheme == "io":
        labels = add_prefixes(labels)
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


def add_prefixes(labels: Sequence[str]) -> list[str]:
    """RETURNS (list[str]): The labels of IO in IOB1: adjacent words of one type are one mention."""
    return [label if label == "O" else f"I-{label}" for label in labels]


def find_illegal(labels: Sequence[str], scheme: str) -> list[int]:
    """RETURNS (list[int]): Indices of the labels that are illegal in the scheme after the label
    before, the last one's too where its mention isn't closed. All belong to a scheme."""
    if scheme == "io":
        return []
    rule, before, found = SCHEMES[scheme], OUTSIDE, []
    for index, tag in enumerate([*map(parse_tag, labels), OUTSIDE]):
        if not rule(before, tag)[0]:
            found.append(min(index, len(labels) - 1))
        before = tag
    return sorted(set(found))


def encode_iob2(length: int, mentions: Iterable[Mention]) -> list[str]:
    """RETURNS (list[str]): The labels of `length` words in IOB2."""
    labels = ["O"] * length
    for start, end, type_ in mentions:
        labels[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return labels


NO_TYPES = ("O", "-")  # labels without a prefix, which IO can't tell from types
# First, middle and last prefix, and that of a mention of one word.
PREFIXES = {"iob2": "BIIB", "bilou": "BILU", "iobes": "BIES", "bmes": "BMES"}


def encode_mentions(length: int, mentions: Iterable[Mention], scheme: str) -> list[str]:
    """RETURNS (list[str]): The labels of `length` words in a scheme, a key of SCHEMES.
    RAISES (InputError): If IO would join two adjacent mentions, or lose one."""
    labels = ["O"] * length
    before = Mention(0, 0, "")
    for mention in mentions:
        start, end, type_ = mention
        touches = before.end == start and before.label == type_
        if scheme == "io" and touches:
            raise InputError(f"IO can't separate two adjacent mentions of {shorten(type_)}")
        if scheme == "io" and type_ in NO_TYPES:
            raise InputError(f"IO can't write the type {type_}, which would be no mention there")
        if scheme in PREFIXES:
            p = PREFIXES[scheme]
            prefixes = p[0] + p[1] * (end - start - 2) + p[2] if end - start > 1 else p[3]
        else:
            prefixes = ("B" if touches and scheme == "iob1" else "I") + "I" * (end - start - 1)
        labels[start:end] = [
            type_ if scheme == "io" else f"{prefix}-{type_}" for prefix in prefixes
        ]
        before = mention
    return labels
