"""Parse, validate and write column files. Independent of spaCy.

One word per line with the named-entity label last, a blank line after each sentence, and a line
that starts with `-DOCSTART-` before each document: the format of the CoNLL-2003 shared task
(Tjong Kim Sang and De Meulder, 2003, https://aclanthology.org/W03-0419).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.rows import DOCSTART, UNKNOWN, Block, read_blocks
from conll_ner.data.columns.schemes import (
    LabelError,
    Mention,
    decode_mentions,
    encode_mentions,
    find_illegal,
)
from conll_ner.data.columns.selection import (
    DEFAULT,
    MISSING,
    Columns,
    check_header,
    choose_columns,
    find_header,
)

# Column names by number of columns: four as in English CoNLL-2003, five as in German.
COLUMNS = {
    2: ("word", "ner"),
    3: ("word", "pos", "ner"),
    4: ("word", "pos", "chunk", "ner"),
    5: ("word", "lemma", "pos", "chunk", "ner"),
}


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
    repaired: list[str] = field(default_factory=list)  # line and label, with `repair`


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


def keep_columns(blocks: Sequence[Block], columns: Columns, path: str) -> None:
    """Reduce the rows to word and label, unless they have columns as in COLUMNS, and delete the row
    that names the columns.

    RAISES (InputError): As `choose_columns`, or if the first row is a header with other names.
    """
    header = find_header(blocks[0].rows[0])
    if header:
        del blocks[0].rows[0]
        blocks[0].line += 1
    sentences = [(block.line, block.rows) for block in blocks if block.rows]
    if not sentences:
        raise InputError(f"{path} has no rows but the names of its columns")
    if path.lower().endswith(".csv") and not header and columns == DEFAULT:
        raise InputError(
            f"{path}:{sentences[0][0]}: this row doesn't name the columns of words and labels; "
            "--word-column and --label-column do, by number"
        )
    word, label = choose_columns(sentences, columns, header, path)
    labels = [row[label] for block in blocks for row in block.rows]
    check_header(labels, f"{path}:{sentences[0][0]}")
    if columns != DEFAULT or header or len(sentences[0][1][0]) not in COLUMNS:
        for block in blocks:
            block.rows = [[row[word], row[label]] for row in block.rows]


def parse_sentence(block: Block, scheme: str, path: str, *, repair: bool) -> Sentence:
    names = COLUMNS[len(block.rows[0])]
    columns = dict(zip(names, map(list, zip(*block.rows, strict=True)), strict=True))

    def column(name: str) -> list[str]:
        values = columns.get(name, [""] * len(block.rows))
        return ["" if value == MISSING[0] else value for value in values]

    mentions = decode_block(block, scheme, path, repair=repair)
    pos, chunks, lemmas = map(column, ("pos", "chunk", "lemma"))
    return Sentence(columns["word"], pos, chunks, lemmas, mentions, block.unknown)


def read_corpus(
    path: Path,
    scheme: str = "auto",
    columns: Columns = DEFAULT,
    *,
    repair: bool = False,
    encoding: str | None = None,
) -> Corpus:
    """Read a column file in any common format.

    path (Path): 2 to 10 columns, separated by spaces or tabs, or CSV; LF, CRLF or CR.
    scheme (str): A key of SCHEMES, or "auto" to detect it.
    columns (Columns): Where words and labels are; by default, the columns are as in COLUMNS.
    repair (bool): Whether illegal labels are read as conlleval does; `repaired` lists them.
    encoding (str | None): None: UTF-8, with or without BOM.
    RAISES (InputError): If the file is invalid. Names the file, the line and the problem.
    """
    found = read_blocks(path, encoding)
    blocks = [block for document in found.documents for block in document]
    keep_columns(blocks, columns, str(path))
    blocks = [block for block in blocks if block.rows]
    if scheme == "auto":
        scheme = detect_scheme(blocks, str(path), repair=repair)
    documents = [
        [parse_sentence(b, scheme, str(path), repair=repair) for b in document if b.rows]
        for document in found.documents
    ]
    repaired = [
        f"line {block.line + i}: {shorten(block.labels[i])}"
        for block in (blocks if repair else [])
        for i in find_illegal(block.labels, scheme)
    ]
    return Corpus(
        [Document(sentences) for sentences in documents if sentences],
        scheme,
        found.has_docstarts,
        found.empty_sentences,
        found.empty_documents,
        found.comments,
        repaired,
    )


def count(documents: Iterable[Document]) -> dict[str, int]:
    """RETURNS (dict[str, int]): Numbers of documents, sentences, words, and mentions by type."""
    counts = Counter(documents=0, sentences=0, words=0)
    for document in documents:
        counts["documents"] += 1
        for sentence in document.sentences:
            counts["sentences"] += 1
            counts["words"] += len(sentence.words)
            counts.update(mention.type for mention in sentence.mentions)
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
