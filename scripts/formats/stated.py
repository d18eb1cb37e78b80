"""Mentions whose text the file states, which shows whether their offsets are in another unit."""

from bisect import bisect_right
from collections.abc import Sequence

from formats.annotated import Annotated, Issue, Span

Stated = tuple[Span, str | None]  # a mention and its text, None if it isn't stated


def check_stated(
    where: str, text: str, stated: Sequence[Stated], issues: Sequence[Issue] = ()
) -> Annotated:
    """RETURNS (Annotated): The mentions whose text is the stated one, if there is one. The offsets
    of the record are read as UTF-16 if that fits more mentions than code points do. The words of
    other mentions are unknown, and they are listed."""
    mentions = list(stated)
    if not text.isascii():
        units = utf16_offsets(text)
        converted = [(to_code_points(span, units), expected) for span, expected in stated]
        if count_right(text, converted) > count_right(text, mentions):
            mentions = converted
    kept, wrong = [], []
    for span, expected in mentions:
        if is_right(text, span, expected):
            kept.append(span)
        else:
            found = text[max(0, span.start) : max(0, span.end)]
            reason = f"its text is not the stated one: {expected}"
            wrong.append(Issue(where, reason, found, span.label, span.start, span.end))
    unknown = [(issue.start or 0, issue.end or 0) for issue in wrong]
    return Annotated(where, text, kept, unknown=unknown, issues=[*issues, *wrong])


def count_right(text: str, stated: Sequence[Stated]) -> int:
    return sum(is_right(text, span, expected) for span, expected in stated)


def is_right(text: str, span: Span, expected: str | None) -> bool:
    """RETURNS (bool): Whether a mention's text is the stated one, if there is one. Tools write line
    feeds in it as spaces."""
    return (
        expected is None or text[max(0, span.start) : max(0, span.end)].split() == expected.split()
    )


def to_code_points(span: Span, units: Sequence[int]) -> Span:
    """RETURNS (Span): A mention whose offsets are UTF-16 code units, in code points. units: as
    `utf16_offsets` returns them."""
    return Span(find_offset(units, span.start), find_offset(units, span.end), span.label)


def utf16_offsets(text: str) -> list[int]:
    """RETURNS (list[int]): Where each character starts in UTF-16, and the text's length there."""
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + (2 if ord(character) > 0xFFFF else 1))
    return offsets


def find_offset(offsets: Sequence[int], unit: int) -> int:
    """RETURNS (int): The character at a UTF-16 offset; beyond the text, an offset beyond it."""
    return unit if unit < 0 else bisect_right(offsets, unit) - 1 + max(0, unit - offsets[-1])
