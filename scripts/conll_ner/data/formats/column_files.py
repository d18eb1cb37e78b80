"""Column files, with what was skipped or repaired printed when all documents are read."""

from collections.abc import Iterator
from pathlib import Path

from conll_ner.common.console import msg
from conll_ner.data.columns.conll import Corpus, Document, read_corpus
from conll_ner.data.formats.annotated import Reading

SHOWN = 5  # repaired labels that are printed


def read_columns(path: Path, reading: Reading) -> Iterator[Document]:
    """Read words and labels, and the other columns that CoNLL-2003 has.
    RAISES (InputError): As `read_corpus`."""
    corpus = read_corpus(
        path, reading.scheme, reading.columns, repair=reading.repair, encoding=reading.encoding
    )
    yield from corpus.documents
    print_notes(corpus, path)


def print_notes(corpus: Corpus, path: Path) -> None:
    """Print the label scheme, what was skipped or repaired, and what may not be meant."""
    without_mentions = sum(
        not any(s.mentions for s in document.sentences) for document in corpus.documents
    )
    notes = {
        "documents without mentions kept": without_mentions if corpus.has_docstarts else 0,
        "empty sentences skipped": corpus.empty_sentences,
        "empty documents skipped": corpus.empty_documents,
        "comments skipped": corpus.comments,
    }
    counts = [f"{number:,} {name}" for name, number in notes.items() if number]
    msg.info(", ".join([f"{path}: labels in {corpus.scheme.upper()}", *counts]))
    if without_mentions == len(corpus.documents):
        msg.warn(f"{path} has no mention; is another column that of the labels? --label-column")
    if corpus.repaired:
        first = "; ".join(corpus.repaired[:SHOWN])
        msg.warn(f"{len(corpus.repaired):,} illegal labels read as conlleval does: {first}")
    if not corpus.has_docstarts:
        msg.info(f"{path} has no -DOCSTART- line: each sentence became its own document")
