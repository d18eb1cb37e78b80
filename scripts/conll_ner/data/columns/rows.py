"""Split column files into documents, sentences and rows, without reading the labels."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.schemes import parse_tag
from conll_ner.data.csv_rows import find_delimiter
from conll_ner.data.encodings import read_text, text_suffix

DOCSTART = "-DOCSTART-"
UNKNOWN = "-"  # a label that isn't known, as in spaCy's formats
MISSING = ("_", "-")  # placeholders for a missing value, as in CoNLL-U and HIPE
MAX_COLUMNS = 10
# Names of the columns of words, and of labels in the order of preference, in files whose first row
# names them, such as HIPE's (https://github.com/hipe-eval/HIPE-2022-data) and Kaggle's.
WORD_NAMES = ("word", "words", "token", "tokens", "form")
LABEL_NAMES = (
    "ne-coarse-lit",
    "ner",
    "ner_tag",
    "ner_tags",
    "ne",
    "label",
    "labels",
    "tag",
    "tags",
)


class Problem(NamedTuple):
    """Why a sentence can't be read: the file and line of a row, and what is wrong with it."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass
class Block:
    """The rows of a sentence, as in the file."""

    line: int  # line number of the first row, from 1
    rows: list[list[str]] = field(default_factory=list)
    where: str = ""  # its place, for formats whose words have no lines
    problem: Problem | None = None  # of a row, which is missing then, or of a label

    def place(self, path: str, index: int) -> str:
        """RETURNS (str): File and line of a row, for messages."""
        return f"{self.where}, word {index + 1}" if self.where else f"{path}:{self.line + index}"

    @property
    def labels(self) -> list[str]:
        """The labels, with O where they are unknown."""
        return ["O" if row[-1] == UNKNOWN else row[-1] for row in self.rows]

    @property
    def unknown(self) -> tuple[int, ...]:
        """Indices of the words whose label is unknown."""
        return tuple(i for i, row in enumerate(self.rows) if row[-1] == UNKNOWN)


@dataclass
class Blocks:
    """The sentences of each document of a file, and counts of what was skipped. If the file has no
    document starts, each sentence is its own document."""

    documents: list[list[Block]]
    has_docstarts: bool = False
    empty_sentences: int = 0  # extra blank lines
    empty_documents: int = 0  # document starts without words before the next one
    comments: int = 0

    @property
    def problems(self) -> list[Problem]:
        return [b.problem for document in self.documents for b in document if b.problem]


def read_blocks(path: Path, encoding: str | None = None) -> Blocks:
    """Split a column file, or a CSV file with a word per row.

    encoding (str | None): None: UTF-8, with or without BOM.
    RAISES (InputError): If the file has no rows or another encoding, or the first row doesn't have
        2 to 10 columns. Where a row has another number of columns, its sentence says so.
    """
    text = read_text(path, encoding).replace("\r\n", "\n").replace("\r", "\n")
    if encoding is None and "\0" in text:  # UTF-16 without a byte order mark is valid UTF-8
        line = text.count("\n", 0, text.index("\0")) + 1
        name = "utf-16-le" if text.index("\0") % 2 else "utf-16-be"
        raise InputError(f"{path}:{line}: NUL characters; if it is UTF-16, --encoding {name}")
    split = split_csv if text_suffix(path) == ".csv" else split_lines
    blocks = split(text, str(path))
    if not blocks.documents:
        raise InputError(
            f"{path} contains no sentences; check that it is the right file and complete"
        )
    return blocks


def split_row(line: str) -> list[str]:
    """Split a line at tabs, or at spaces if it has no tab.

    Other whitespace belongs to the word, e.g. a no-break space in a number.
    """
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return [column for column in line.split(" ") if column]


def is_comment(row: Sequence[str], width: int | None) -> bool:
    """RETURNS (bool): Whether a line that starts with "#" is no row, with a word such as "#" or
    "#ner". row: its columns; width: columns of the first row, None before it."""
    if width is not None:
        return len(row) != width
    return len(row) < 2 or not is_label(row[-1], outside=True)


def is_label(value: str, *, outside: bool) -> bool:
    """RETURNS (bool): Whether a value is a label of any scheme, with `outside` also O and missing
    ones."""
    if value == "O" or value in MISSING:
        return outside
    try:
        parse_tag(value)
    except ValueError:
        return False
    return True


def is_blank(word: str) -> bool:
    """RETURNS (bool): Whether a word is empty or spaces, such as those between the characters of
    KLUE-NER (https://github.com/KLUE-benchmark/KLUE)."""
    return not word.strip(" \t\r\n")


def find_header(row: Sequence[str]) -> dict[str, int]:
    """RETURNS (dict[str, int]): The column of each name, in lower case, if the row names a column
    of words and one of labels; empty otherwise."""
    names = [value.lower() for value in row]
    is_header = any(name in WORD_NAMES for name in names) and any(
        name in LABEL_NAMES for name in names
    )
    return {name: names.index(name) for name in names} if is_header else {}


def add_row(block: Block, row: list[str], width: int | None, where: str, line: str) -> None:
    """Add a row to its sentence or, if it has another number of columns than the first, the reason
    why it can't be read.

    width (int | None): Number of columns of the first row; None for the first row itself.
    where (str): File and line, for errors.
    RAISES (InputError): If the first row hasn't 2 to 10 columns.
    """
    problem = ""
    if width is None and not 2 <= len(row) <= MAX_COLUMNS:
        problem = f"{len(row)} columns, not 2 to {MAX_COLUMNS} with the label last"
    elif width is not None and len(row) != width:
        problem = f"{len(row)} columns where the first row has {width}"
    if not problem:
        block.rows.append(row)
        return
    found = Problem(where, f"{problem}: {shorten(repr(line))}")
    if width is None:
        raise InputError(str(found))
    block.problem = block.problem or found


def split_lines(text: str, path: str) -> Blocks:
    """RETURNS (Blocks): The sentences of lines with columns.
    RAISES (InputError): If the first row is wrong."""
    blocks = Blocks([])
    documents: list[list[Block]] = [[]]
    block: Block | None = None
    width: int | None = None
    was_blank = has_tabs = False
    for number, line in enumerate(text.rstrip("\n\t ").split("\n"), start=1):
        line = line.strip(" ") if "\t" not in line else line.rstrip(" \t")
        if line.startswith(DOCSTART):
            blocks.has_docstarts = True
            documents.append([])
            block = None
        elif not line:
            blocks.empty_sentences += was_blank
            block = None
        elif line.startswith("#") and (
            (has_tabs and "\t" not in line) or is_comment(split_row(line), width)
        ):
            blocks.comments += 1
        else:
            row = split_row(line)
            if block is None:
                block = Block(number)
                documents[-1].append(block)
            add_row(block, row, width, f"{path}:{number}", line)
            if width is None:
                width, has_tabs = len(row), "\t" in line
        was_blank = not line
    if not blocks.has_docstarts:
        documents = [[block] for block in documents[0]]
    blocks.empty_documents = sum(not document for document in documents[1:])
    blocks.documents = [document for document in documents if document]
    return blocks


def split_csv(text: str, path: str) -> Blocks:
    """Split a CSV file whose first row names the columns, as Kaggle's ner_dataset.csv
    (https://www.kaggle.com/datasets/abhinavwalia95/entity-annotated-corpus): a column "Sentence #"
    has a value in the first row of each sentence, or in all of its rows. Without it, blank lines
    end sentences.

    RETURNS (Blocks): The sentences, without the column "Sentence #" but with the row of names.
    RAISES (InputError): If the first row is wrong, or a quoted value isn't closed in its line.
    """
    sentences: list[Block] = []
    begins = True
    width = number = None
    current = ""
    for line, row in read_csv(text, path):
        if width is None and row:
            width = len(row)
            number = next(
                (i for i, name in enumerate(row) if name.lower().startswith("sent")), None
            )
            names = without(row, number)
            sentences.append(Block(line))
            if len(names) >= 2 and find_header(names):  # they can be many
                sentences[-1].rows.append(names)
            else:
                add_row(sentences[-1], names, None, f"{path}:{line}", ",".join(row))
        elif not any(row):
            begins = True
        elif width is not None:
            value = "" if number is None or number >= len(row) else row[number]
            if begins or value not in ("", current):
                sentences.append(Block(line))
            current = value or current
            values, expected = without(row, number), width - (number is not None)
            add_row(sentences[-1], values, expected, f"{path}:{line}", ",".join(row))
            begins = False
    # The names belong to the first sentence, as in other files.
    if len(sentences) > 1:
        header, first = sentences[:2]
        sentences[:2] = [Block(header.line, header.rows + first.rows, problem=first.problem)]
    return Blocks([[block] for block in sentences])


def without(row: list[str], index: int | None) -> list[str]:
    """RETURNS (list[str]): The values of a row without spaces around them, but for one column."""
    return [value.strip(" \t") for i, value in enumerate(row) if i != index]


def read_csv(text: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """YIELDS (tuple[int, list[str]]): The line of each row, and its values.
    RAISES (InputError): If a quoted value isn't closed in its line."""
    lines = text.split("\n")
    reader = csv.reader(lines, delimiter=find_delimiter(lines[0], ","), strict=True)
    try:
        for line, row in enumerate(reader, start=1):
            if reader.line_num != line:
                raise InputError(f"{path}:{line}: a quote isn't closed in this line")
            yield line, row
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV: {error}") from None
