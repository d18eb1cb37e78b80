"""Mentions whose text the file states, which shows whether their offsets are in another unit."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from conll_ner.common.console import shorten
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.formats.json_records import get
from conll_ner.data.mentions import CharMention

Stated = tuple[CharMention, str | None]  # a mention and its text, None if it isn't stated


def get_stated(item: dict[str, Any], where: str) -> str | None:
    """RETURNS (str | None): The text that a JSON object states, None if it is missing or empty.
    RAISES (InputError): If it is no string."""
    return None if item.get("text") is None else get(item, "text", str, where) or None


def check_stated(
    where: str, text: str, stated: Sequence[Stated], issues: Sequence[Issue] = ()
) -> Annotated:
    """RETURNS (Annotated): The mentions whose text is the stated one, if there is one. The offsets
    of the record are read in the unit of `read_units` that fits most of them. Other mentions are
    listed, and the words at their offsets and where their text occurs are unknown."""
    mentions = max(read_units(text, stated), key=lambda reading: count_right(text, reading))
    kept, wrong, unknown = [], [], []
    for span, expected in mentions:
        if expected is None or is_right(text, span, expected):
            kept.append(span)
            continue
        found = text[max(0, span.start) : max(0, span.end)]
        reason = f"its text is not the stated one: {shorten(expected)}"
        wrong.append(Issue(where, reason, found, span.label, span.start, span.end))
        unknown += [(span.start, span.end), *find_text(text, expected)]
    return Annotated(where, text, kept, unknown=unknown, issues=[*issues, *wrong])


def read_units(text: str, stated: Sequence[Stated]) -> list[list[Stated]]:
    """RETURNS (list[list[Stated]]): The mentions as they are, and as they are if their offsets
    count UTF-16 code units, a line end CRLF as one character, or both. Browsers do both
    (https://github.com/HumanSignal/label-studio/issues/539)."""
    readings = [list(stated)]
    for utf16, crlf in ((True, False), (False, True), (True, True)):
        if (not utf16 or not text.isascii()) and (not crlf or "\r\n" in text):
            units = unit_offsets(text, utf16=utf16, crlf=crlf)
            readings.append([(to_code_points(span, units), expected) for span, expected in stated])
    return readings


def count_right(text: str, stated: Sequence[Stated]) -> int:
    """RETURNS (int): How many mentions have the text that is stated."""
    return sum(words is not None and is_right(text, span, words) for span, words in stated)


def is_right(text: str, span: CharMention, expected: str) -> bool:
    """RETURNS (bool): Whether a mention's text is the stated one. Tools write line feeds in it as
    spaces."""
    return text[max(0, span.start) : max(0, span.end)].split() == expected.split()


def find_text(text: str, words: str) -> list[tuple[int, int]]:
    """RETURNS (list[tuple[int, int]]): Where words occur in a text, with any whitespace between
    them."""
    pattern = r"\s+".join(map(re.escape, words.split()))
    return [match.span() for match in re.finditer(pattern, text)] if pattern else []


def to_code_points(span: CharMention, units: Sequence[int]) -> CharMention:
    """RETURNS (CharMention): A mention whose offsets are in another unit, in code points. units: as
    `unit_offsets` returns them."""
    return CharMention(find_offset(units, span.start), find_offset(units, span.end), span.label)


def utf16_offsets(text: str) -> list[int]:
    """RETURNS (list[int]): Where each character starts in UTF-16, and the text's length there."""
    return unit_offsets(text, utf16=True, crlf=False)


def unit_offsets(text: str, *, utf16: bool, crlf: bool) -> list[int]:
    """RETURNS (list[int]): Where each character starts, and the text's length, in UTF-16 code units
    or code points, and with CRLF as one character or two."""
    offsets, before = [0], ""
    for character in text:
        width = 2 if utf16 and ord(character) > 0xFFFF else 1
        if crlf and before + character == "\r\n":
            width = 0
        offsets.append(offsets[-1] + width)
        before = character
    return offsets


def find_offset(offsets: Sequence[int], unit: int) -> int:
    """RETURNS (int): The character at an offset in a unit; beyond the text, an offset beyond it."""
    return unit if unit < 0 else bisect_right(offsets, unit) - 1 + max(0, unit - offsets[-1])
