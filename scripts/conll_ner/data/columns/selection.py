"""Which columns of a file hold words and labels, and which of its lines are no rows.

Files are refused where a guess could be wrong without anyone noticing. The forms are those of
public corpora: FiNER and GermEval have two columns of labels, GermEval counts the words in the
first column, MultiCoNER and CoNLL-U have comments, HIPE has a header.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.schemes import parse_tag

MISSING = ("_", "-")  # placeholders for a missing value, as in CoNLL-U and HIPE
# Types of chunks, whose labels look like those of mentions, in English (Tjong Kim Sang and
# Buchholz, 2000, https://aclanthology.org/W00-0726) and German.
CHUNKS = {"NP", "VP", "PP", "NC", "VC", "PC"}
MAX_COLUMNS = 10
MAX_TYPES = 1000  # a column with more different values holds no labels


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


class Columns(NamedTuple):
    """Numbers of columns, from 1, or their names in the first row; None for the first and the last,
    or those that the first row names."""

    word: int | str | None = None
    label: int | str | None = None


DEFAULT = Columns()


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


def holds_labels(values: Iterable[str]) -> bool:
    """RETURNS (bool): Whether a column's values are labels, with at least one mention, but not of
    chunks."""
    unique = set(values)
    if len(unique) > MAX_TYPES or not all(is_label(value, outside=True) for value in unique):
        return False
    types = {value[2:] for value in unique if is_label(value, outside=False)}
    return bool(types) and not types & CHUNKS


def find_header(row: Sequence[str]) -> dict[str, int]:
    """RETURNS (dict[str, int]): The column of each name, in lower case, if the row names a column
    of words and one of labels; empty otherwise."""
    names = [value.lower() for value in row]
    is_header = any(name in WORD_NAMES for name in names) and any(
        name in LABEL_NAMES for name in names
    )
    return {name: names.index(name) for name in names} if is_header else {}


def choose_columns(
    sentences: Sequence[tuple[int, list[list[str]]]],
    columns: Columns,
    header: Mapping[str, int],
    path: str,
) -> tuple[int, int]:
    """Find the columns of words and labels.

    sentences (Sequence): For each sentence the line of its first row, and its rows.
    header (Mapping[str, int]): As `find_header` returns it.
    RETURNS (tuple[int, int]): Their indices, from 0.
    RAISES (InputError): If a column that was asked for doesn't exist, or it isn't certain which
        ones they are.
    """
    width = len(sentences[0][1][0])

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
    if columns.word is None and not header and counts_words(rows for _, rows in sentences):
        raise InputError(
            f"{path}: column 1 counts the words; name the column of the words, e.g. --word-column 2"
        )
    if columns.label is None and not header:
        others = [i for i in range(width) if i not in (word, label)]
        check_label_column(sentences, label, others, path)
    return word, label


def counts_words(sentences: Iterable[list[list[str]]]) -> bool:
    """RETURNS (bool): Whether the first column is 1, 2, 3, … or 0, 1, 2, … in every sentence."""
    longest = 0
    for rows in sentences:
        found = [row[0] for row in rows]
        numbers = range(len(found) + 1)
        if found not in ([*map(str, numbers[1:])], [*map(str, numbers[:-1])]):
            return False
        longest = max(longest, len(found))
    return longest > 1


def check_label_column(
    sentences: Sequence[tuple[int, list[list[str]]]], label: int, others: list[int], path: str
) -> None:
    """RAISES (InputError): If another column than the last holds labels too, or holds them
    instead."""

    def values(column: int) -> Iterator[str]:
        return (row[column] for _, rows in sentences for row in rows)

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
    if is_label(first, outside=True) or first in others or not others:
        return
    if all(is_label(label, outside=True) for label in set(others)):
        raise InputError(
            f"{where}: {shorten(repr(first))} is no label, and all others are; delete this line if "
            "it names the columns; for types without prefix, convert --scheme io"
        )
