"""INCEpTION's and WebAnno's TSV 3
(https://inception-project.github.io/releases/latest/docs/user-guide.html, WebAnno TSV 3.3)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, attempt
from conll_ner.data.formats.stated import find_offset, utf16_offsets
from conll_ner.data.mentions import CharMention

FIRST_LINE = "#FORMAT=WebAnno TSV 3"
LAYER = re.compile(r"#T_(SP|CH|RL)=([^|]*)\|?(.*)")
STACKED = re.compile(r"(?<!\\)\|")
NUMBERED = re.compile(r"(.*?)(?:\[(\d+)\])?", re.DOTALL)
NAMED_ENTITY, VALUE = "NamedEntity", "value"
CURATOR = "CURATION_USER"  # the name of curated files
NONE, NO_VALUE = "_", "*"


class Row(NamedTuple):
    """A line of a word: its number, such as 1-3, or 1-3.1 for a part of a word; its characters, in
    UTF-16; and the layer's value."""

    line: int
    number: str
    start: int
    end: int
    word: str
    value: str


def read_webanno(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read the mentions of a layer, by default the named entities, with the words and sentences of
    the file. Text between words, which the format doesn't have, becomes spaces."""

    def read(where: str, _: Any) -> Iterator[Annotated]:
        lines = read_text(path, reading.encoding).replace("\r\n", "\n").split("\n")
        if not lines[0].startswith(FIRST_LINE):
            raise InputError(f"{where}:1: not {FIRST_LINE}: {shorten(repr(lines[0]))}")
        yield read_document(where, lines, find_column(where, lines, reading))

    return attempt(str(path), "", read)


def read_document(where: str, lines: list[str], column: int | None) -> Annotated:
    rows = list(read_rows(where, lines, column))
    words = [row for row in rows if "." not in row.number]
    text = make_text(words)
    units = utf16_offsets(text)

    def characters(start: int, end: int) -> tuple[int, int]:
        return find_offset(units, start), find_offset(units, end)

    mentions, issues, unknown = [], [], []
    for (label, _), found in group_mentions(rows).items():
        start, end = characters(found[0].start, found[-1].end)
        if not label:
            issues.append(Issue(where, "without a value", text[start:end], "", start, end))
            unknown.append((start, end))
        else:
            mentions.append(CharMention(start, end, label))
    firsts = [row for row in words if row.number.endswith("-1")]
    path = Path(where)
    return Annotated(
        where,
        text,
        mentions,
        words=[row.word for row in words],
        sentence_starts=[characters(row.start, row.end)[0] for row in firsts],
        unknown=unknown,
        issues=issues,
        is_curated="curation" in path.parts or path.stem == CURATOR,
    )


def find_column(where: str, lines: list[str], reading: Reading) -> int | None:
    """RETURNS (int | None): The column of a feature of a layer of spans. None if the document has
    no spans, or none of the layer that was asked for.
    RAISES (InputError): If it isn't clear which one it is. Lists what there is."""
    column = 3
    found: dict[tuple[str, str], int] = {}
    for line in lines:
        match = LAYER.match(line)
        if match is None:
            continue
        kind, name, features = match[1], match[2].rpartition(".")[2], match[3].split("|")
        if kind == "SP":
            found |= {(name, feature): column + i for i, feature in enumerate(features)}
        column += len(features)
    layer, feature = reading.layer or NAMED_ENTITY, reading.feature or VALUE
    mine = {key: place for key, place in found.items() if key[0] == layer.rpartition(".")[2]}
    if (layer.rpartition(".")[2], feature) in mine:
        return mine[layer.rpartition(".")[2], feature]
    if len(mine) == 1 and not reading.feature:
        return next(iter(mine.values()))
    if not found or (reading.layer and not mine):
        return None
    listed = shorten(", ".join(f"{name} ({feature})" for name, feature in mine or found), 300)
    if mine:
        raise InputError(f"{where}: name a feature of {layer} with --feature: {listed}")
    raise InputError(
        f"{where}: no layer {layer}, but {listed}; name one with --layer, or --layer {layer} if "
        "there is nothing of it in the document"
    )


def read_rows(where: str, lines: list[str], column: int | None) -> Iterator[Row]:
    """YIELDS (Row): The lines of words and of parts of words.
    RAISES (InputError): If a line is wrong, or the offsets of a word aren't its own, or beyond what
        a file of this length can hold."""
    before = 0
    longest = 2 * sum(map(len, lines))  # UTF-16 has at most two units for a character
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split("\t")
        try:
            start, end = map(int, columns[1].split("-"))
            value = NONE if column is None else columns[column]
            row = Row(number, columns[0], start, end, unescape(columns[2]), value)
        except (IndexError, ValueError):
            raise InputError(f"{where}:{number}: no word: {shorten(repr(line))}") from None
        if "." not in row.number:
            if not before <= start <= longest or end - start != count_units(row.word):
                word = shorten(repr(row.word))
                raise InputError(
                    f"{where}:{number}: {word} doesn't fit its offsets {shorten(columns[1])}"
                )
            before = end
        yield row


def count_units(text: str) -> int:
    """RETURNS (int): The length of a text in UTF-16."""
    return len(text) + sum(character > "\uffff" for character in text)


def make_text(words: list[Row]) -> str:
    """RETURNS (str): The words at their places, with spaces between them."""
    parts: list[str] = []
    end = 0
    for row in words:
        parts += [" " * (row.start - end), row.word]
        end = row.end
    return "".join(parts)


def group_mentions(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """RETURNS (dict): The rows of each mention, by its label, empty if it has no value, and its
    number; those without a number are in one row."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for value in STACKED.split(row.value):
            match = NUMBERED.fullmatch(value)
            if value != NONE and match is not None:
                label = "" if match[1] == NO_VALUE else unescape(match[1])
                found.setdefault((label, match[2] or f"line {row.line}"), []).append(row)
    return found


def unescape(text: str) -> str:
    """RETURNS (str): A value without the backslashes before special characters."""
    names = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "b": "\b"}
    return re.sub(r"\\(->|.)", lambda match: names.get(match[1], match[1]), text)


FORMAT = Format(
    "webanno",
    "INCEpTION and WebAnno, TSV 3",
    lambda source: f"it starts with {FIRST_LINE}" if source.start.startswith(FIRST_LINE) else "",
    read_webanno,
)
