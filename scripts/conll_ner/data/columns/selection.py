"""Which columns of a file hold words and labels.

Files are refused where a guess could be wrong without anyone noticing. The forms are those of
public corpora: FiNER and GermEval have two columns of labels, GermEval counts the words in the
first column, MultiCoNER and CoNLL-U have comments, HIPE has a header.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.labels import is_respelled
from conll_ner.data.columns.rows import LABEL_NAMES, WORD_NAMES, Block, find_header, is_label
from conll_ner.data.encodings import text_suffix

# Types of chunks, whose labels look like those of mentions, in English (Tjong Kim Sang and
# Buchholz, 2000, https://aclanthology.org/W00-0726) and German.
CHUNKS = {"NP", "VP", "PP", "NC", "VC", "PC"}
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*:")
MAX_TYPES = 1000  # a column with more different values holds no labels


class Columns(NamedTuple):
    """Numbers of columns, from 1, or their names in the first row; None for the first and the last,
    or those that the first row names."""

    word: int | str | None = None
    label: int | str | None = None


DEFAULT = Columns()

# Column names by number of columns: four as in English CoNLL-2003, five as in German.
COLUMNS = {
    2: ("word", "ner"),
    3: ("word", "pos", "ner"),
    4: ("word", "pos", "chunk", "ner"),
    5: ("word", "lemma", "pos", "chunk", "ner"),
}


def keep_columns(blocks: Sequence[Block], columns: Columns, path: str) -> list[Block]:
    """Reduce the rows to word and label, unless they have columns as in COLUMNS, and delete the row
    that names the columns.

    RETURNS (list[Block]): The sentences that have rows.
    RAISES (InputError): As `choose_columns`, or if the first row is a header with other names.
    """
    header = find_header(blocks[0].rows[0])
    if header:
        del blocks[0].rows[0]
        blocks[0].line += 1
    blocks = [block for block in blocks if block.rows]
    if not blocks:
        raise InputError(f"{path} has no rows but the names of its columns")
    where = f"{path}:{blocks[0].line}"
    if text_suffix(Path(path)) == ".csv" and not header and columns == DEFAULT:
        raise InputError(
            f"{where}: this row doesn't name the columns of words and labels; --word-column and "
            "--label-column do, by number"
        )
    word, label = choose_columns(blocks, columns, header, path)
    strip_prefix(blocks, word)
    check_header([row[label] for block in blocks for row in block.rows], where)
    if columns != DEFAULT or header or len(blocks[0].rows[0]) not in COLUMNS:
        for block in blocks:
            block.rows = [[row[word], row[label]] for row in block.rows]
    return blocks


def strip_prefix(blocks: Sequence[Block], word: int) -> None:
    """Delete the language's code that begins each word of WikiANN (https://aclanthology.org/P17-1178),
    such as "pt:" in "pt:Associação"."""
    rows = [row for block in blocks for row in block.rows]
    match = LANGUAGE.match(rows[0][word])
    if match and len(rows) > 1 and all(row[word].startswith(match[0]) for row in rows):
        for row in rows:
            row[word] = row[word].removeprefix(match[0])


def holds_labels(values: Iterable[str]) -> bool:
    """RETURNS (bool): Whether a column's values are labels, with at least one mention, but not of
    chunks."""
    unique = set(values)
    if len(unique) > MAX_TYPES or not all(is_label(value, outside=True) for value in unique):
        return False
    types = {value[2:] for value in unique if is_label(value, outside=False)}
    return bool(types) and not types & CHUNKS


def choose_columns(
    blocks: Sequence[Block], columns: Columns, header: Mapping[str, int], path: str
) -> tuple[int, int]:
    """Find the columns of words and labels.

    header (Mapping[str, int]): As `find_header` returns it.
    RETURNS (tuple[int, int]): Their indices, from 0.
    RAISES (InputError): If a column that was asked for doesn't exist, or it isn't certain which
        ones they are.
    """
    width = len(blocks[0].rows[0])

    def index(option: str, column: int | str | None, names: Sequence[str], default: int) -> int:
        if column is None:
            return next((header[name] for name in names if name in header), default)
        if isinstance(column, str) and column.lower() in header:
            return header[column.lower()]
        if isinstance(column, str) or not 1 <= column <= width:
            named = f" named {', '.join(header)}" if header else ""
            raise InputError(f"{path}: {option} {column}: the file has {width} columns{named}")
        return column - 1

    word = index("--word-column", columns.word, WORD_NAMES, 0)
    label = index("--label-column", columns.label, LABEL_NAMES, width - 1)
    if word == label:
        raise InputError(f"{path}: column {word + 1} can't hold both words and labels")
    if columns.word is None and not header and counts_words(blocks):
        raise InputError(
            f"{path}: column 1 counts the words; name the column of the words, e.g. --word-column 2"
        )
    if columns.label is None and not header:
        others = [i for i in range(width) if i not in (word, label)]
        check_label_column(blocks, label, others, path)
    return word, label


def counts_words(blocks: Sequence[Block]) -> bool:
    """RETURNS (bool): Whether the first column is 1, 2, 3, … or 0, 1, 2, … in every sentence."""
    longest = 0
    for block in blocks:
        found = [row[0] for row in block.rows]
        numbers = range(len(found) + 1)
        if found not in ([*map(str, numbers[1:])], [*map(str, numbers[:-1])]):
            return False
        longest = max(longest, len(found))
    return longest > 1


def check_label_column(blocks: Sequence[Block], label: int, others: list[int], path: str) -> None:
    """RAISES (InputError): If another column than the last holds labels too, or holds them
    instead."""

    def values(column: int) -> Iterator[str]:
        return (row[column] for block in blocks for row in block.rows)

    rivals = [i + 1 for i in others if holds_labels(values(i))]
    if not rivals:
        return
    names = ", ".join(map(str, rivals))
    if all(is_label(value, outside=True) for value in set(values(label))):
        raise InputError(
            f"{path}: more than one column holds labels ({names}, {label + 1}); name the one to "
            f"read, e.g. --label-column {rivals[0]}"
        )
    raise InputError(
        f"{path}: the last column holds no labels, but column {names} does; name the one to read, "
        f"e.g. --label-column {rivals[0]}"
    )


def check_header(labels: Sequence[str], where: str) -> None:
    """RAISES (InputError): If the first of all labels is none, and the only one of its kind, as in
    a row that names the columns."""
    first, *others = labels
    if is_label(first, outside=True) or is_respelled(first) or first in others or not others:
        return
    if all(is_label(label, outside=True) for label in set(others)):
        raise InputError(
            f"{where}: {shorten(repr(first))} is no label, and all others are; delete this line if "
            "it names the columns; for types without prefix, convert --scheme io"
        )
