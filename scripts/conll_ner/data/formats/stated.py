"""Mentions whose text the file states, which shows whether their offsets are in another unit."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any
from unicodedata import combining, normalize

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import QUOTED, Annotated, Issue
from conll_ner.data.formats.json_records import get
from conll_ner.data.mentions import CharMention

Stated = tuple[CharMention, str | None]  # a mention and its text, None if it isn't stated
Unit = Callable[[str, str], int]


def read_stated(
    item: Any, where: str, start: str = "start", end: str = "end", label: str = "label"
) -> Stated:
    """RETURNS (Stated): A mention that is a list [start, end, label], or an object with fields of
    these names and perhaps its "text", which isn't stated if it is null or empty.
    RAISES (InputError): If it is something else."""
    if isinstance(item, list) and len(item) == 3:
        item = dict(zip((start, end, label), item, strict=True))
    if not isinstance(item, dict):
        raise InputError(f"{where}: {shorten(repr(item))} is no mention")
    first, last = get(item, start, int, where), get(item, end, int, where)
    mention = CharMention(first, last, get(item, label, str, where))
    return mention, get_stated(item, where)


def get_stated(item: dict[str, Any], where: str) -> str | None:
    return None if item.get("text") is None else get(item, "text", str, where) or None


def check_stated(
    where: str, text: str, stated: Sequence[Stated], issues: Sequence[Issue] = ()
) -> Annotated:
    """RETURNS (Annotated): The mentions whose text is the stated one, if there is one. The offsets
    of the record are read in the unit of `read_units` that fits most of them. Other mentions are
    listed, and the words at their offsets and where their text occurs are unknown."""
    mentions = best_reading(text, stated)
    kept, wrong, unknown = [], [], []
    for span, expected in mentions:
        if expected is None or is_right(text, span, expected):
            kept.append(span)
            continue
        found = text[max(0, span.start) : max(0, span.end)]
        reason = f"its text is not the stated one: {shorten(expected)}"
        wrong.append(Issue(where, reason, found[:QUOTED], span.label, span.start, span.end))
        unknown += [(span.start, span.end), *find_text(text, expected)]
    return Annotated(where, text, kept, unknown=unknown, issues=[*issues, *wrong])


def best_reading(text: str, stated: Sequence[Stated]) -> list[Stated]:
    """RETURNS (list[Stated]): The one of `read_units` in which most mentions have their text."""
    best: list[Stated] = []
    most = -1
    for reading in read_units(text, stated):
        right = count_right(text, reading)
        if right > most:
            best, most = reading, right
        if most == sum(words is not None for _, words in stated):
            break
    return best


def read_units(text: str, stated: Sequence[Stated]) -> Iterator[list[Stated]]:
    """YIELDS (list[Stated]): The mentions as they are; as they are if their offsets count another
    unit of UNITS; and all of these with ends that belong to the mention."""
    readings = [list(stated)]
    for unit in () if text.isascii() and "\r\n" not in text else UNITS:
        offsets = unit_offsets(text, unit)
        if offsets != [*range(len(text) + 1)]:
            readings.append([(to_code_points(span, offsets), words) for span, words in stated])
    yield from readings
    for reading in readings:
        yield [(span._replace(end=span.end + 1), words) for span, words in reading]


def count_right(text: str, stated: Sequence[Stated]) -> int:
    """RETURNS (int): How many mentions have the text that is stated."""
    return sum(words is not None and is_right(text, span, words) for span, words in stated)


def is_right(text: str, span: CharMention, expected: str) -> bool:
    """RETURNS (bool): Whether a mention's text is the stated one. Tools write line feeds in it as
    spaces, and letters with accents in another form of Unicode."""
    found = text[max(0, span.start) : max(0, span.end)]
    if found.isascii():
        return found.split() == expected.split()
    return normalize("NFC", found).split() == normalize("NFC", expected).split()


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
    return unit_offsets(text, UNITS[0])


def unit_offsets(text: str, unit: Unit) -> list[int]:
    """RETURNS (list[int]): Where each character starts in a unit, and the text's length there."""
    offsets = [0]
    for before, character in pairwise(chain([""], text)):
        offsets.append(offsets[-1] + unit(before, character))
    return offsets


def count_utf16(_: str, character: str) -> int:
    return 2 if character > "\uffff" else 1


def count_crlf(before: str, character: str) -> int:
    return 0 if before + character == "\r\n" else 1


def count_both(before: str, character: str) -> int:
    return count_crlf(before, character) and count_utf16(before, character)


def count_composed(_: str, character: str) -> int:
    return 0 if combining(character) else 1


def count_decomposed(_: str, character: str) -> int:
    return len(normalize("NFD", character))


# How much longer a text becomes by a character after another one: in UTF-16 code units, with a line
# end CRLF as one character, in both, as browsers count
# (https://github.com/HumanSignal/label-studio/issues/539); and in Unicode's forms NFC and NFD.
UNITS = (count_utf16, count_crlf, count_both, count_composed, count_decomposed)


def find_offset(offsets: Sequence[int], unit: int) -> int:
    """RETURNS (int): The character at an offset in a unit; beyond the text, an offset beyond it."""
    return unit if unit < 0 else bisect_right(offsets, unit) - 1 + max(0, unit - offsets[-1])
