"""Corrections of gold annotations: made on the report page, applied by the command `correct`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.aligning import GOLD
from conll_ner.data.formats.json_records import get, read_json_records
from conll_ner.data.mentions import Mention, label_problem, to_mention, word_mentions
from conll_ner.evaluation.mistakes import Mistake


class Correction(NamedTuple):
    """A gold mention that is wrong, missing or too much.

    sha256 (str): Of the gold file, so that it isn't applied to another one.
    document (int): From 1.
    gold (Mention | None): As it is; None to add one.
    right (Mention | None): As it should be; None to remove it.
    """

    sha256: str
    document: int
    gold: Mention | None
    right: Mention | None


def correction_of(mistake: Mistake, document: int, sha256: str) -> Correction:
    """RETURNS (Correction): What makes the prediction right."""
    pair = (mistake.gold, mistake.predicted)
    gold, right = (None if span is None else to_mention(span) for span in pair)
    return Correction(sha256, document, gold, right)


def read_corrections(path: Path, sha256: str) -> list[Correction]:
    """RETURNS (list[Correction]): The corrections of the gold file with this hash.
    RAISES (InputError): If the file isn't one of corrections, or none is of this gold file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    found = []
    for where, record in read_json_records(path, None):
        file, document = get(record, "sha256", str, where), get(record, "document", int, where)
        mentions = [read_mention(record, name, where) for name in ("gold", "right")]
        found.append(Correction(file, document, *mentions))
    mine = [correction for correction in found if correction.sha256 == sha256]
    if not mine:
        raise InputError(
            f"{path}: none of its {len(found)} corrections is of this gold file as it is now"
        )
    return mine


def read_mention(record: dict[str, Any], name: str, where: str) -> Mention | None:
    value = record.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or [type(item) for item in value] != [int, int, str]:
        raise InputError(f"{where}: {name} is {shorten(repr(value))}, not [start, end, label]")
    if problem := label_problem(value[2]):
        raise InputError(f"{where}, {name}: {problem}: {shorten(repr(value[2]))}")
    return Mention(*value)


def apply_corrections(
    docs: Iterable[Doc], corrections: Sequence[Correction], path: Path
) -> Iterator[Doc]:
    """YIELDS (Doc): The documents, corrected in place.
    RAISES (InputError): If a document hasn't the gold mention that is to be corrected, or the right
        one overlaps with another."""
    by_document: dict[int, list[Correction]] = defaultdict(list)
    for correction in corrections:
        by_document[correction.document].append(correction)
    for number, doc in enumerate(docs, start=1):
        if number in by_document:
            correct(doc, by_document.pop(number), f"{path}, document {number}")
        yield doc
    for number in by_document:
        raise InputError(f"{path}: there is no document {number}")


def correct(doc: Doc, corrections: Sequence[Correction], where: str) -> None:
    mentions = word_mentions(doc)
    for gold in dict.fromkeys(c.gold for c in corrections if c.gold is not None):
        if gold not in mentions:
            raise InputError(f"{where} has no mention {tuple(gold)}")
        mentions.remove(gold)
    for right in (c.right for c in corrections if c.right is not None):
        if not 0 <= right.start < right.end <= len(doc):
            raise InputError(f"{where} has {len(doc)} words, not the mention {tuple(right)}")
        mentions.add(right)
    spans = [Span(doc, start, end, label) for start, end, label in sorted(mentions)]
    missing = [doc[token.i : token.i + 1] for token in doc if token.ent_iob == 0]
    covered = {i for span in spans for i in range(span.start, span.end)}
    try:
        doc.set_ents(spans, missing=[span for span in missing if span.start not in covered])
    except ValueError:
        raise InputError(f"{where}: two mentions overlap; correct the other one too") from None
    if GOLD in doc.spans:  # those that overlap too
        wrong = {correction.gold for correction in corrections}
        others = [span for span in doc.spans[GOLD] if to_mention(span) not in {*wrong, *mentions}]
        doc.spans[GOLD] = sorted([*others, *spans])
