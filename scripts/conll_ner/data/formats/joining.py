"""Several annotations of one text become one record."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import QUOTED, Agreement, Annotated, Issue
from conll_ner.data.mentions import CharMention

Records = Iterator[Annotated | Issue]
DIFFERS = "another annotation of the text, which differs, is used"


def join_copies(read: Callable[[], Records], *, takes_last: bool = False) -> Records:
    """YIELDS (Annotated | Issue): The records, with those of one key joined, as `merge` does, in
    the place of the last.

    read (Callable): Reads the records. They are read twice, so that only those whose key comes
        again are kept in memory.
    RAISES (InputError): If the records weren't the same both times.
    """
    left = Counter(hash(item.key) for item in read() if isinstance(item, Annotated) and item.key)
    copies: dict[int, list[Annotated]] = {}
    for item in read():
        if isinstance(item, Issue) or not item.key:
            yield item
            continue
        key = hash(item.key)
        copies.setdefault(key, []).append(item)
        left[key] -= 1
        if not left[key]:
            yield from merge(copies.pop(key), takes_last=takes_last)
    if copies or +left:
        raise InputError("the source has changed while it was read; run the command again")


def merge(copies: Sequence[Annotated], *, takes_last: bool = False) -> Records:
    """YIELDS (Annotated | Issue): One record of the annotations of a text, and those that differ
    from it. It is the curated one; else of the complete ones the first, or the last if an annotator
    corrects by annotating again; else all partial ones together."""
    complete = [copy for copy in copies if copy.is_complete]
    candidates = [copy for copy in copies if copy.is_curated] or complete
    if not candidates:
        yield join_partial(copies)
        return
    used = candidates[-1 if takes_last else 0]
    for copy in copies:
        if copy is not used and (differs(copy, used) or not copy.is_complete):
            yield Issue(copy.record, DIFFERS, copy.text[:QUOTED])
    peers = [copy for copy in complete if not copy.is_curated]
    yield replace(used, agreement=agree([set(copy.mentions) for copy in peers]))


def differs(one: Annotated, other: Annotated) -> bool:
    return set(one.mentions) != set(other.mentions) or one.text != other.text


def join_partial(copies: Sequence[Annotated]) -> Annotated:
    """RETURNS (Annotated): All mentions of partial annotations of a text."""
    return replace(
        copies[0],
        mentions=list(dict.fromkeys(m for copy in copies for m in copy.mentions)),
        words=next((copy.words for copy in copies if copy.words), None),
        issues=[issue for copy in copies for issue in copy.issues],
    )


def agree(annotations: Sequence[set[CharMention]]) -> Agreement:
    """RETURNS (Agreement): Of the mentions of several annotations."""
    if len(annotations) < 2:
        return Agreement()
    pairs = list(combinations(annotations, 2))
    return Agreement(1, sum(len(a & b) for a, b in pairs), sum(len(a) + len(b) for a, b in pairs))
