"""Labels as files have them: other spellings of prefixes, and what isn't a label at all."""

import re
from collections.abc import Sequence, Set

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.rows import MISSING, Block, is_label
from conll_ner.data.columns.schemes import parse_tag

# Other spellings of prefixes than "B-PER", and where prefix and type are in them.
SPELLINGS = {
    "b-per": re.compile(r"(?P<prefix>[biluesm])-(?P<type>.+)"),
    "PER-B": re.compile(r"(?P<type>.+)-(?P<prefix>[BILUESM])"),
    "B_PER": re.compile(r"(?P<prefix>[BILUESM])_(?P<type>.+)"),
    "b_per": re.compile(r"(?P<prefix>[biluesm])_(?P<type>.+)"),
}
OUTSIDE = frozenset({"O", "o", *MISSING})
MAX_IO_TYPES = 100  # as many types without prefix there may be


def respell(blocks: Sequence[Block], labels: Set[str]) -> None:
    """Write labels as B-PER if all of a file have another spelling.

    labels (Set[str]): All labels of the sentences.
    """
    types = labels - OUTSIDE
    if not types or all(is_label(label, outside=True) for label in types):
        return
    for pattern in SPELLINGS.values():
        found = {label: pattern.fullmatch(label) for label in types}
        if all(found.values()):
            new = {k: f"{m['prefix'].upper()}-{m['type']}" for k, m in found.items() if m}
            new["o"] = "O"
            for row in (row for block in blocks for row in block.rows):
                row[-1] = new.get(row[-1], row[-1])
            return


def check_labels(blocks: Sequence[Block], labels: Set[str], scheme: str, path: str) -> None:
    """Check labels that have no prefix.

    scheme (str): The scheme that was asked for.
    RAISES (InputError): If they are to have one, or can't be types. Names the option that reads
        them.
    """
    if scheme != "io" and all(is_label(label, outside=True) for label in labels):
        return
    advice = find_advice(blocks, labels)
    if scheme == "io" and not advice:
        return
    for block in blocks:
        for index, label in enumerate(block.labels):
            problem = describe(label)
            if problem or scheme == "io":
                problem = problem or f"label {shorten(repr(label))} has a prefix"
                advice = advice or "for types without prefix, convert --scheme io"
                raise InputError(f"{block.place(path, index)}: {problem}; {advice}")


def describe(label: str) -> str:
    """RETURNS (str): Why a label is none; empty if it is one."""
    try:
        parse_tag(label)
    except ValueError as error:
        return str(error)
    return ""


def find_advice(blocks: Sequence[Block], labels: Set[str]) -> str:
    """RETURNS (str): How to read labels that aren't types without prefix; empty if they can be."""
    types = labels - OUTSIDE
    words = {row[0] for block in blocks for row in block.rows} - OUTSIDE
    if words and all(is_label(word, outside=False) for word in words):
        return "the words are labels: name both, e.g. --word-column 2 --label-column 1"
    if any(label.startswith("[") for label in types):
        return "a cell holds a list; write a row for each word, or Parquet or JSONL with lists"
    if any("=" in label for label in types):
        return "these are features; name the column of the labels: --label-column"
    if types and all(is_label(label, outside=False) for label in types):
        return "leave out --scheme io"
    if len(types) > MAX_IO_TYPES or not labels & OUTSIDE:
        return "the column holds no labels: name another by --label-column, or is it plain text?"
    return ""
