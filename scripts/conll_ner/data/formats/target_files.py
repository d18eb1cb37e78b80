"""Write gold documents to a file of any format."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.data.columns.conll import format_corpus
from conll_ner.data.docs import to_document, write_docs
from conll_ner.data.formats.detecting import COLUMNS, SPACY
from conll_ner.data.formats.writing import WRITERS, count_lost

TARGET_NAMES = (SPACY, COLUMNS, *WRITERS)
SUFFIXES = {".spacy": SPACY, ".jsonl": "jsonl", ".json": "labelstudio"}


def find_target(target: Path, name: str) -> str:
    """RETURNS (str): One of TARGET_NAMES; with "auto" by the suffix, columns for unknown ones.
    RAISES (InputError): If there is no such format."""
    if name == "auto":
        return SUFFIXES.get(target.suffix.lower(), COLUMNS)
    if name not in TARGET_NAMES:
        raise InputError(f"--to {name} is not one of auto, {', '.join(TARGET_NAMES)}")
    return name


def write_target(docs: Iterable[Doc], target: Path, name: str, scheme: str) -> None:
    """Write documents in one of TARGET_NAMES; columns in a label scheme. Warns of words without a
    label that the format can't express.

    RAISES (InputError): If the format can't hold them.
    """
    if name == SPACY:
        write_docs(docs, target)
        return
    lost = 0

    def counted() -> Iterator[Doc]:
        nonlocal lost
        for doc in docs:
            lost += count_lost(doc, name)
            yield doc

    with atomic_write(target) as temporary:
        if name == COLUMNS:
            text = format_corpus(map(to_document, docs), scheme=scheme)
            temporary.write_text(text, encoding="utf-8", newline="\n")
        else:
            WRITERS[name](counted(), temporary)
    if lost:
        msg.warn(
            f"{target}: {lost:,} words without a label read as no mention, because {name} has no "
            "unknown labels"
        )
