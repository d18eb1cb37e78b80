"""Column files: a word and its label per line."""

from collections.abc import Iterator
from pathlib import Path

from conll_ner.data.columns.conll import Corpus, read_corpus
from conll_ner.data.encodings import text_suffix
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, Source
from conll_ner.data.formats.words import from_sentences

SHOWN = 5  # repaired labels that are printed


def is_columns(source: Source) -> str:
    is_json = text_suffix(source.path).startswith(".json") and source.start[:1] in ("", "{", "[")
    return "it is text, and no JSON" if not (source.records or is_json) else ""


def read_columns(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read words and labels, and the other columns that CoNLL-2003 has.
    RAISES (InputError): As `read_corpus`, but for sentences that can't be read."""
    corpus = read_corpus(
        path,
        reading.scheme,
        reading.columns,
        repair=reading.repair,
        encoding=reading.encoding,
        lenient=True,
    )
    for problem in corpus.problems:
        yield Issue(*problem, unreadable=True)
    for number, document in enumerate(corpus.documents, start=1):
        yield from_sentences(f"{path}, document {number}", document.sentences)
    add_notes(corpus, path, reading.notes)


def add_notes(corpus: Corpus, path: Path, notes: dict[str, bool]) -> None:
    """Note the label scheme, what was skipped or repaired, and what may not be meant."""
    without_mentions = sum(
        not any(s.mentions for s in document.sentences) for document in corpus.documents
    )
    skipped = {
        "documents without mentions kept": without_mentions if corpus.has_docstarts else 0,
        "empty sentences skipped": corpus.empty_sentences,
        "empty documents skipped": corpus.empty_documents,
        "comments skipped": corpus.comments,
        "blank words skipped": corpus.blank_words,
    }
    counts = [f"{number:,} {name}" for name, number in skipped.items() if number]
    notes[", ".join([f"{path}: labels in {corpus.scheme.upper()}", *counts])] = False
    if without_mentions == len(corpus.documents):
        notes[f"{path} has no mention; is another column that of the labels? --label-column"] = True
    if corpus.repaired:
        first = "; ".join(corpus.repaired[:SHOWN])
        notes[f"{len(corpus.repaired):,} illegal labels read as conlleval does: {first}"] = True
    if not corpus.has_docstarts:
        notes[f"{path} has no -DOCSTART- line: each sentence became its own document"] = False


FORMAT = Format(
    "columns",
    "column files: CoNLL, IOB, BILOU, CSV … ([below](#column-files))",
    is_columns,
    read_columns,
    is_general=True,
)
