"""Labels as files have them: other spellings of prefixes, and what isn't a label at all."""

import re
from collections.abc import Sequence, Set

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.rows import MISSING, Block, Problem, is_label
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


def is_respelled(label: str) -> bool:
    return any(pattern.fullmatch(label) for pattern in SPELLINGS.values())


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


def check_labels(blocks: Sequence[Block], scheme: str, path: str) -> None:
    """Check labels that have no prefix. Where a sentence has one, its problem says so.

    scheme (str): The scheme that was asked for.
    RAISES (InputError): If most of the sentences with labels have one, or the labels can't be types
        without prefix. Names the option that reads them.
    """
    problems = []
    for block in blocks:
        found = (describe(label, scheme) for label in block.labels)
        index, reason = next(((i, p) for i, p in enumerate(found) if p), (0, ""))
        if reason:
            problems.append((block, Problem(block.place(path, index), reason)))
    advice = "for types without prefix, convert --scheme io"
    if scheme == "io":
        advice = find_advice(blocks)
        if not advice:
            return
    if scheme == "io" or are_most(problems, blocks):
        raise InputError(f"{problems[0][1]}; {find_advice(blocks) or advice}")
    for block, problem in problems:
        block.problem = problem


def are_most(problems: Sequence[object], blocks: Sequence[Block]) -> bool:
    """RETURNS (bool): Whether sentences with a problem are half or more of those with a label."""
    labelled = sum(any(label != "O" for label in block.labels) for block in blocks)
    return bool(problems) and 2 * len(problems) >= labelled


def describe(label: str, scheme: str) -> str:
    """RETURNS (str): Why a label is none of a scheme; empty if it is one."""
    try:
        parse_tag(label)
    except ValueError as error:
        return str(error)
    has_prefix = scheme == "io" and label != "O"
    return f"label {shorten(repr(label))} has a prefix" if has_prefix else ""


def find_advice(blocks: Sequence[Block]) -> str:
    """RETURNS (str): How to read labels that aren't types without prefix; empty if they can be."""
    labels = {label for block in blocks for label in block.labels}
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
