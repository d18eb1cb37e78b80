"""Read gold documents from a file or folder of any format."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spacy.language import Language

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.columns.selection import DEFAULT, Columns
from conll_ner.data.docs import make_doc, read_docs
from conll_ner.data.formats.aligning import Aligned, align_all
from conll_ner.data.formats.detecting import COLUMNS, FORMATS, SPACY, detect
from conll_ner.data.formats.token_tags import read_token_tags

FORMAT_NAMES = (SPACY, COLUMNS, *FORMATS)


@dataclass(frozen=True)
class Reading:
    """How to read a source.

    format (str): One of FORMAT_NAMES, or "auto" to find it out.
    alignment (str): What becomes of mentions that don't meet words.
    encoding (str | None): None: UTF-8.
    scheme, repair: For column files and Hugging Face's rows, as in `read_corpus`.
    columns: For column files.
    """

    format: str = "auto"
    alignment: str = "strict"
    encoding: str | None = None
    scheme: str = "auto"
    columns: Columns = DEFAULT
    repair: bool = False


def find_format(source: Path, reading: Reading) -> str:
    """RETURNS (str): One of FORMAT_NAMES.
    RAISES (InputError): If there is no such file, or no such format."""
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if reading.format == "auto":
        return detect(source, reading.encoding)
    if reading.format not in FORMAT_NAMES:
        raise InputError(f"--format {reading.format} is not one of auto, {', '.join(FORMAT_NAMES)}")
    return reading.format


def read_source(source: Path, format_: str, reading: Reading, nlp: Language) -> Iterator[Aligned]:
    """YIELDS (Aligned): The documents of a source, in the words of the format or of the tokenizer
    of `nlp`, each with what is left out.
    RAISES (InputError): If the source isn't of the format."""
    if format_ == SPACY:
        yield from (Aligned(doc, []) for doc in read_docs(source, nlp.vocab))
    elif format_ == COLUMNS:
        corpus = read_corpus(
            source,
            reading.scheme,
            reading.columns,
            repair=reading.repair,
            encoding=reading.encoding,
        )
        yield from (Aligned(make_doc(document, nlp.vocab), []) for document in corpus.documents)
    else:
        read = FORMATS[format_].read
        if read is read_token_tags:
            read = partial(read_token_tags, scheme=reading.scheme, repair=reading.repair)
        records = read(source, reading.encoding)
        yield from align_all(records, nlp.tokenizer, reading.alignment)
