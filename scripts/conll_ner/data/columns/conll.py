"""Parse, validate and write column files.

One word per line with the named-entity label last, a blank line after each sentence, and a line
that starts with `-DOCSTART-` before each document: the format of the CoNLL-2003 shared task
(Tjong Kim Sang and De Meulder, 2003, https://aclanthology.org/W03-0419).
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.decoding import decode_blocks
from conll_ner.data.columns.rows import (
    DOCSTART,
    MISSING,
    UNKNOWN,
    Block,
    Problem,
    is_blank,
    read_blocks,
)
from conll_ner.data.columns.schemes import encode_mentions
from conll_ner.data.columns.selection import COLUMNS, DEFAULT, Columns, keep_columns
from conll_ner.data.mentions import Mention


@dataclass(frozen=True)
class Sentence:
    """Parallel lists with one item per word; empty strings for columns that the file lacks.

    unknown (tuple[int, ...]): Indices of the words whose label is unknown.
    """

    words: list[str]
    pos: list[str]
    chunks: list[str]
    lemmas: list[str]
    mentions: list[Mention]
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True)
class Document:
    sentences: list[Sentence]


@dataclass
class Corpus:
    """The content of a file, and counts of what was skipped."""

    documents: list[Document]
    scheme: str
    has_docstarts: bool
    empty_sentences: int = 0  # skipped: extra blank lines
    empty_documents: int = 0  # skipped: document starts without words before the next one
    comments: int = 0  # skipped
    blank_words: int = 0  # skipped
    repaired: list[str] = field(default_factory=list)  # line and label, with `repair`
    problems: list[Problem] = field(default_factory=list)  # of missing sentences, with `lenient`


def read_corpus(
    path: Path,
    scheme: str = "auto",
    columns: Columns = DEFAULT,
    *,
    repair: bool = False,
    encoding: str | None = None,
    lenient: bool = False,
) -> Corpus:
    """Read a column file in any common format.

    path (Path): 2 to 10 columns, separated by spaces or tabs, or CSV; LF, CRLF or CR.
    scheme (str): A key of SCHEMES, or "auto" to detect it.
    columns (Columns): Where words and labels are; by default, the columns are as in COLUMNS.
    repair (bool): Whether illegal labels are read as conlleval does; `repaired` lists them.
    encoding (str | None): None: UTF-8, with or without BOM.
    lenient (bool): Whether a sentence with a row or label that can't be read is left out.
    RAISES (InputError): If the file is invalid. Names the file, the line and the problem.
    """
    found = read_blocks(path, encoding)
    blocks = [block for document in found.documents for block in document if not block.problem]
    if not blocks or (found.problems and not lenient):
        raise InputError(str(found.problems[0]))
    blocks = keep_columns(blocks, columns, str(path))
    scheme, mentions, illegal = decode_blocks(blocks, scheme, str(path), repair=repair)
    if found.problems and not lenient:
        raise InputError(str(found.problems[0]))
    pairs = zip(blocks, mentions, strict=True)
    read = {id(block): make_sentence(block, m) for block, m in pairs if not block.problem}
    documents = [
        [sentence for block in document if (sentence := read.get(id(block))) and sentence.words]
        for document in found.documents
    ]
    if not any(documents):
        raise InputError(f"{path} contains no words")
    return Corpus(
        [Document(document) for document in documents if document],
        scheme,
        found.has_docstarts,
        found.empty_sentences,
        found.empty_documents,
        found.comments,
        sum(is_blank(row[0]) for block in blocks for row in block.rows),
        [
            f"line {block.line + i}: {shorten(block.labels[i])}"
            for block, indices in zip(blocks, illegal, strict=True)
            for i in indices
        ],
        found.problems,
    )


def make_sentence(block: Block, mentions: list[Mention]) -> Sentence:
    """RETURNS (Sentence): The words of rows, without blank ones."""
    rows = [row for row in block.rows if not is_blank(row[0])]
    if len(rows) < len(block.rows):
        before = [0, *accumulate(not is_blank(row[0]) for row in block.rows)]
        mentions = [Mention(before[a], before[b], label) for a, b, label in mentions]
        mentions = [mention for mention in mentions if mention.start < mention.end]
    names = COLUMNS[len(block.rows[0])]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}

    def column(name: str) -> list[str]:
        values = columns.get(name, [""] * len(rows))
        return ["" if value == MISSING[0] else value for value in values]

    pos, chunks, lemmas = map(column, ("pos", "chunk", "lemma"))
    unknown = tuple(i for i, row in enumerate(rows) if row[-1] == UNKNOWN)
    return Sentence(columns.get("word", []), pos, chunks, lemmas, mentions, unknown)


def count(documents: Iterable[Document]) -> dict[str, int]:
    """RETURNS (dict[str, int]): Numbers of documents, sentences, words, and mentions by type."""
    counts = Counter(documents=0, sentences=0, words=0)
    for document in documents:
        counts["documents"] += 1
        for sentence in document.sentences:
            counts["sentences"] += 1
            counts["words"] += len(sentence.words)
            counts.update(mention.label for mention in sentence.mentions)
    types = sorted(counts.keys() - {"documents", "sentences", "words"})
    return {what: counts[what] for what in ("documents", "sentences", "words", *types)}


def format_sentence(sentence: Sentence, scheme: str) -> str:
    labels = encode_mentions(len(sentence.words), sentence.mentions, scheme)
    for i in sentence.unknown:
        labels[i] = UNKNOWN
    lines = []
    for row in zip(sentence.words, sentence.pos, sentence.chunks, labels, strict=True):
        values = [value or MISSING[0] for value in row]
        problem = ""
        if any(re.search(r"[ \t\r\n]", value) for value in values):
            problem = "a value contains whitespace"
        elif values[0].startswith(DOCSTART):
            problem = f"{DOCSTART} starts a document"
        if problem:
            raise InputError(f"can't write {shorten(str(values))} as columns: {problem}")
        lines.append(" ".join(values))
    return "\n".join(lines)


def format_corpus(
    documents: Iterable[Document], *, docstarts: bool = True, scheme: str = "iob2"
) -> str:
    """RETURNS (str): The canonical format: word, POS, chunk, NER, separated by one space; a
    document start before each document; a blank line between blocks, and none at the end.
    RAISES (InputError): If a value can't be written, or the scheme can't separate two mentions."""
    blocks = []
    for document in documents:
        if docstarts:
            blocks.append(f"{DOCSTART} -X- -X- O")
        blocks += [format_sentence(sentence, scheme) for sentence in document.sentences]
    return "\n\n".join(blocks)
