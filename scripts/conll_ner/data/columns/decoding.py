"""Decode the labels of sentences to mentions, in the scheme of the file."""

from collections.abc import Sequence
from typing import NamedTuple

from conll_ner.common.console import InputError
from conll_ner.data.columns.labels import are_most, check_labels, respell
from conll_ner.data.columns.rows import Block, Problem
from conll_ner.data.columns.schemes import PREFIXES, LabelError, decode_mentions, find_illegal
from conll_ner.data.mentions import Mention

REPAIR = "read the labels as conlleval does: convert --repair"


class Decoded(NamedTuple):
    """The mentions of sentences.

    mentions (list[list[Mention]]): Those of each sentence; none if the sentence has a problem.
    illegal (list[Sequence[int]]): Indices of the words whose label was read as conlleval does.
    """

    scheme: str
    mentions: list[list[Mention]]
    illegal: list[Sequence[int]]


def decode_blocks(blocks: Sequence[Block], scheme: str, path: str, *, repair: bool) -> Decoded:
    """Decode the labels of a file. Where a sentence has an illegal label, its problem says so.

    scheme (str): A key of SCHEMES, or "auto" to detect it.
    repair (bool): Whether illegal labels are read as conlleval does.
    RAISES (InputError): If no scheme matches, or most of the sentences with labels are illegal.
        Names the line.
    """
    respell(blocks, {label for block in blocks for label in block.labels})
    check_labels(blocks, scheme, path)
    if scheme == "auto":
        scheme = detect_scheme([b for b in blocks if not b.problem], path, repair=repair)
    mentions = [decode_block(block, scheme, path, repair=repair) for block in blocks]
    problems = [block.problem for block in blocks if block.problem]
    if are_most(problems, blocks):
        raise InputError(str(problems[0]))
    illegal: list[Sequence[int]] = [
        find_illegal(block.labels, scheme) if repair and not block.problem else ()
        for block in blocks
    ]
    return Decoded(scheme, mentions, illegal)


def decode_block(block: Block, scheme: str, path: str, *, repair: bool) -> list[Mention]:
    """RETURNS (list[Mention]): The mentions of a sentence; none if it has an illegal label, which
    becomes its problem."""
    try:
        return [] if block.problem else decode_mentions(block.labels, scheme, repair=repair)
    except LabelError as error:
        block.problem = Problem(block.place(path, error.index), f"{error}; {REPAIR}")
        return []


def detect_scheme(blocks: Sequence[Block], path: str, *, repair: bool = False) -> str:
    """RETURNS (str): The label scheme with the fewest illegal sentences; IOB2 if several have none.
    RAISES (InputError): Without `repair`, if no scheme matches most sentences, or two match the
        same number. Names the conflicting lines.
    """
    found: dict[str, list[Problem]] = {}
    for scheme in ("iob2", "iob1", "bilou", "iobes", "bmes"):
        problems = (find_problem(block, scheme, path) for block in blocks)
        found[scheme] = [problem for problem in problems if problem]
        if not found[scheme]:
            return scheme
    prefixes = {label[0] for block in blocks for label in block.labels} - {"O"}

    def badness(scheme: str) -> tuple[int, int]:
        return len(found[scheme]), len(prefixes - {*PREFIXES.get(scheme, "BI")})

    best, second, *_ = sorted(found, key=badness)
    is_certain = len(found[best]) < len(found[second]) and not are_most(found[best], blocks)
    if not (is_certain or repair):
        first, other = found[best][0], found[second][0]
        problem = f"{first}; and {other}; use one scheme per file, or {REPAIR}"
        raise InputError(str(first) if first == other else problem)
    return best


def find_problem(block: Block, scheme: str, path: str) -> Problem | None:
    """RETURNS (Problem | None): The first illegal label of a sentence."""
    try:
        decode_mentions(block.labels, scheme)
    except LabelError as error:
        return Problem(block.place(path, error.index), str(error))
    return None
