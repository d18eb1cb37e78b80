"""brat's standoff format: .ann files beside the .txt files of their texts
(https://brat.nlplab.org/standoff.html)."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, attempt
from conll_ner.data.formats.stated import Stated, check_stated, count_right
from conll_ner.data.mentions import CharMention

SUFFIX = ".ann"


def read_brat(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read the text-bound annotations (T) of an .ann file. Relations, events, attributes and notes
    are ignored. Mentions of several parts are left out."""

    def read(where: str, _: Any) -> Iterator[Annotated]:
        text_file = path.with_suffix(".txt")
        if not text_file.is_file():
            raise InputError(f"{where}: its text, {text_file.name}, is missing")
        # Only line feeds end lines: a mention's text can contain U+2028 and others.
        lines = read_text(path, reading.encoding).replace("\r\n", "\n").split("\n")
        yield read_document(where, read_text(text_file, reading.encoding), lines)

    return attempt(str(path), "", read)


def read_document(where: str, text: str, lines: list[str]) -> Annotated:
    # brat counts CRLF as one character (https://github.com/nlplab/brat/issues/853), other writers
    # as two.
    best = read_mentions(where, text, lines)
    normalized = text.replace("\r\n", "\n")
    if normalized != text:
        other = read_mentions(where, normalized, lines)
        if count_right(normalized, other[0]) > count_right(text, best[0]):
            text, best = normalized, other
    stated, issues, unknown = best
    record = check_stated(where, text, stated, issues)
    return Annotated(
        where, text, record.mentions, unknown=[*record.unknown, *unknown], issues=record.issues
    )


def read_mentions(
    where: str, text: str, lines: list[str]
) -> tuple[list[Stated], list[Issue], list[tuple[int, int]]]:
    """RETURNS (tuple): The mentions with their stated texts, those that are left out, and the
    characters of these."""
    stated: list[Stated] = []
    issues: list[Issue] = []
    unknown: list[tuple[int, int]] = []
    for number, line in enumerate(lines, start=1):
        if not line.startswith("T"):
            continue
        try:
            _, annotation, expected = line.split("\t", 2)
            label, offsets = annotation.split(" ", 1)
            parts = sorted((int(a), int(b)) for a, b in map(str.split, offsets.split(";")))
        except ValueError:
            raise InputError(f"{where}:{number}: no mention: {shorten(repr(line))}") from None
        start, end = parts[0][0], parts[-1][1]
        # A mention over a line feed is written in two parts.
        gaps = [text[a[1] : b[0]] for a, b in pairwise(parts)]
        if any(gap.strip() for gap in gaps):
            issues.append(Issue(where, "in several parts", expected, label, start, end))
            unknown += parts
        else:
            stated.append((CharMention(start, end, label), expected))
    return stated, issues, unknown


FORMAT = Format(
    "brat",
    "brat, a folder or an `.ann` file",
    lambda source: "its name ends in .ann" if source.path.suffix == SUFFIX else "",
    read_brat,
)
