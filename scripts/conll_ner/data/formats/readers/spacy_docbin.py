"""spaCy's DocBin."""

from collections.abc import Iterator
from pathlib import Path

from conll_ner.data.docs import read_docs
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading
from conll_ner.data.mentions import char_mentions

SUFFIX = ".spacy"


def read_docbin(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read the documents as they are.
    RAISES (InputError): If the file isn't a complete DocBin."""
    for number, doc in enumerate(read_docs(path, reading.nlp.vocab), start=1):
        where = f"{path}, document {number}"
        yield Annotated(where, doc.text, sorted(char_mentions(doc)), doc=doc)


FORMAT = Format(
    "spacy",
    "spaCy's DocBin",
    lambda source: "its name ends in .spacy" if source.path.suffix == SUFFIX else "",
    read_docbin,
)
