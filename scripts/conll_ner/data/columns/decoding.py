"""Decode the labels of sentences to mentions, in the scheme of the file."""

from collections.abc import Sequence
from typing import NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.labels import check_labels, respell
from conll_ner.data.columns.rows import Block
from conll_ner.data.columns.schemes import LabelError, decode_mentions, find_illegal
from conll_ner.data.mentions import Mention


class Decoded(NamedTuple):
    """The mentions of sentences.

    mentions (list[list[Mention]]): Those of each sentence.
    illegal (list[Sequence[int]]): Indices of the words whose label was read as conlleval does.
    """

    scheme: str
    mentions: list[list[Mention]]
    illegal: list[Sequence[int]]


def decode_blocks(blocks: Sequence[Block], scheme: str, path: str, *, repair: bool) -> Decoded:
    """Decode the labels of a file.

    scheme (str): A key of SCHEMES, or "auto" to detect it.
    repair (bool): Whether illegal labels are read as conlleval does.
    RAISES (InputError): If a label is illegal, or no scheme matches. Names the line.
    """
    labels = {label for block in blocks for label in block.labels}
    respell(blocks, labels)
    check_labels(blocks, labels, scheme, path)
    if scheme == "auto":
        scheme = detect_scheme(blocks, path, repair=repair)
    return Decoded(
        scheme,
        [decode_block(block, scheme, path, repair=repair) for block in blocks],
        [find_illegal(block.labels, scheme) if repair else () for block in blocks],
    )


def detect_scheme(blocks: Sequence[Block], path: str, *, repair: bool = False) -> str:
    """Detect the label scheme in which the whole file is legal; IOB2 if several match.

    repair (bool): Whether illegal labels are allowed: the scheme is that of the prefixes.
    RAISES (InputError): If no scheme matches. Names the conflicting lines.
    """
    first: dict[str, tuple[str, str]] = {}  # prefix -> place and label of its first occurrence
    for block in blocks:
        for offset, label in enumerate(block.labels):
            prefix = label[:1]
            if prefix not in first:
                first[prefix] = block.place(path, offset), label
    bilou = [first[p] for p in "LU" if p in first]
    iobes = [first[p] for p in "ESM" if p in first]
    if bilou and iobes:
        (place, label), (other_place, other_label) = bilou[0], iobes[0]
        place = place.replace(f"{path}:", "line ")
        raise InputError(
            f"{other_place}: label {shorten(other_label)} belongs to IOBES or BMES but "
            f"{shorten(label)} in {place} to BILOU; use one scheme per file"
        )
    if bilou or iobes:
        return "bilou" if bilou else "bmes" if "M" in first else "iobes"
    if repair:
        return "iob2" if "B" in first else "iob1"
    problems = []
    for scheme in ("iob2", "iob1"):
        try:
            for block in blocks:
                decode_block(block, scheme, path)
            return scheme
        except InputError as error:
            problems.append(str(error))
    if problems[0] == problems[1]:
        raise InputError(problems[0])
    raise InputError(
        f"{problems[0]}; and {problems[1]}; use one scheme per file, or read the labels as "
        "conlleval does: convert --repair"
    )


def decode_block(block: Block, scheme: str, path: str, *, repair: bool = False) -> list[Mention]:
    """Call decode_mentions, and add the file and line to its errors."""
    try:
        return decode_mentions(block.labels, scheme, repair=repair)
    except LabelError as error:
        raise InputError(f"{block.place(path, error.index)}: {error}") from None
