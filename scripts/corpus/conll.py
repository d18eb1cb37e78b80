"""Parse, validate and write column files. Independent of spaCy.

One word per line with the named-entity label last, a blank line after each sentence, and a line
that starts with `-DOCSTART-` before each document: the format of the CoNLL-2003 shared task
(Tjong Kim Sang and De Meulder, 2003, https://aclanthology.org/W03-0419).
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.console import InputError, shorten
from corpus.columns import (
    DEFAULT,
    MAX_COLUMNS,
    MISSING,
    Columns,
    check_header,
    choose_columns,
    is_comment,
)
from corpus.schemes import LabelError, Mention, decode_mentions, encode_iob2, find_illegal

DOCSTART = "-DOCSTART-"
# Column names by number of columns: four as in English CoNLL-2003, five as in German.
COLUMNS = {
    2: ("word", "ner"),
    3: ("word", "pos", "ner"),
    4: ("word", "pos", "chunk", "ner"),
    5: ("word", "lemma", "pos", "chunk", "ner"),
}


@dataclass(frozen=True)
class Sentence:
    """Parallel lists with one item per word; empty strings for columns that the file lacks."""

    words: list[str]
    pos: list[str]
    chunks: list[str]
    lemmas: list[str]
    mentions: list[Mention]


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


@dataclass
class Block:
    """The rows of a sentence, as in the file."""

    line: int  # line number of the first row, from 1
    rows: list[list[str]] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        return [row[-1] for row in self.rows]


def detect_scheme(blocks: Sequence[Block], path: str, *, repair: bool = False) -> str:
    """Detect the label scheme in which the whole file is legal; IOB2 if several match.

    repair (bool): Whether illegal labels are allowed: the scheme is that of the prefixes.
    RAISES (InputError): If no scheme matches. Names the conflicting lines.
    """
    first: dict[str, tuple[int, str]] = {}  # prefix -> line and label of its first occurrence
    for block in blocks:
        for offset, label in enumerate(block.labels):
            prefix = label[:1]
            if prefix not in first:
                first[prefix] = block.line + offset, label
    bilou = [first[p] for p in "LU" if p in first]
    iobes = [first[p] for p in "ESM" if p in first]
    if bilou and iobes:
        (line, label), (other_line, other_label) = bilou[0], iobes[0]
        raise InputError(
            f"{path}:{other_line}: label {shorten(other_label)} belongs to IOBES or BMES but "
            f"{shorten(label)} in line {line} to BILOU; use one scheme per file"
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
        "conlleval does: convert.py --repair"
    )


def decode_block(block: Block, scheme: str, path: str, *, repair: bool = False) -> list[Mention]:
    """Call decode_mentions, and add the file and line to its errors."""
    try:
        return decode_mentions(block.labels, scheme, repair=repair)
    except LabelError as error:
        raise InputError(f"{path}:{block.line + error.index}: {error}") from None


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without BOM, and normalize its line endings to LF."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        raise InputError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8, "
            f"e.g. iconv -f {'utf-16' if is_utf16 else 'latin1'} -t utf-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_row(line: str) -> list[str]:
    """Split a line at tabs, or at spaces if it has no tab.

    Other whitespace belongs to the word, e.g. a no-break space in a number.
    """
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return [column for column in line.split(" ") if column]


def read_row(line: str, width: int | None, where: str) -> list[str]:
    """Split a line into columns and check their number.

    width (int | None): Number of columns of the first row; None for the first row itself.
    where (str): File and line, for errors.
    """
    row = split_row(line)
    problem = ""
    if width is None and not 2 <= len(row) <= MAX_COLUMNS:
        problem = f"{len(row)} columns, not 2 to {MAX_COLUMNS} with the label last"
    elif width is not None and len(row) != width:
        problem = f"{len(row)} columns where the first row has {width}"
    elif not all(row):
        problem = f"column {row.index('') + 1} is empty"
    if problem:
        raise InputError(f"{where}: {problem}: {shorten(repr(line))}")
    return row


def read_blocks(text: str, path: str) -> tuple[list[list[Block]], Corpus]:
    """Split a file into documents of sentences, without reading the labels.

    RETURNS (tuple[list[list[Block]], Corpus]): The sentences of each document, and a Corpus
        without documents that contains the counts. If the file has no document starts, each
        sentence is its own document.
    RAISES (InputError): If a row doesn't have 2 to 10 columns, or not as many as the first row.
    """
    corpus = Corpus(documents=[], scheme="", has_docstarts=False)
    documents: list[list[Block]] = [[]]
    block: Block | None = None
    width: int | None = None
    was_blank = False
    for number, line in enumerate(text.rstrip("\n\t ").split("\n"), start=1):
        line = line.strip(" ") if "\t" not in line else line.rstrip(" \t")
        if line.startswith(DOCSTART):
            corpus.has_docstarts = True
            documents.append([])
            block = None
        elif not line:
            corpus.empty_sentences += was_blank
            block = None
        elif line.startswith("#") and is_comment(split_row(line), width):
            corpus.comments += 1
        else:
            row = read_row(line, width, f"{path}:{number}")
            width = len(row)
            if block is None:
                block = Block(number)
                documents[-1].append(block)
            block.rows.append(row)
        was_blank = not line
    if not corpus.has_docstarts:
        documents = [[block] for block in documents[0]]
    corpus.empty_documents = sum(not document for document in documents[1:])
    return [document for document in documents if document], corpus


def keep_columns(blocks: Sequence[Block], columns: Columns, path: str) -> None:
    """Reduce the rows to word and label, unless they have columns as in COLUMNS.

    RAISES (InputError): As `choose_columns`, or if the first row is a header.
    """
    sentences = [(block.line, block.rows) for block in blocks]
    word, label = choose_columns(sentences, columns, path)
    labels = [row[label] for block in blocks for row in block.rows]
    check_header(labels, f"{path}:{blocks[0].line}")
    if columns != DEFAULT or len(blocks[0].rows[0]) not in COLUMNS:
        for block in blocks:
            block.rows = [[row[word], row[label]] for row in block.rows]


def parse_sentence(block: Block, scheme: str, path: str, *, repair: bool) -> Sentence:
    names = COLUMNS[len(block.rows[0])]
    columns = dict(zip(names, map(list, zip(*block.rows, strict=True)), strict=True))

    def column(name: str) -> list[str]:
        values = columns.get(name, [""] * len(block.rows))
        return ["" if value == MISSING[0] else value for value in values]

    mentions = decode_block(block, scheme, path, repair=repair)
    return Sentence(columns["word"], column("pos"), column("chunk"), column("lemma"), mentions)


def read_corpus(
    path: Path, scheme: str = "auto", columns: Columns = DEFAULT, *, repair: bool = False
) -> Corpus:
    """Read a column file in any common format.

    path (Path): 2 to 10 columns, separated by spaces or tabs; UTF-8; LF, CRLF or CR.
    scheme (str): A key of SCHEMES, or "auto" to detect it.
    columns (Columns): Where words and labels are; by default, the columns are as in COLUMNS.
    repair (bool): Whether illegal labels are read as conlleval does; `repaired` lists them.
    RAISES (InputError): If the file is invalid. Names the file, the line and the problem.
    """
    documents, corpus = read_blocks(read_text(path), str(path))
    blocks = [block for document in documents for block in document]
    if not blocks:
        raise InputError(
            f"{path} contains no sentences; check that it is the right file and complete"
        )
    keep_columns(blocks, columns, str(path))
    corpus.scheme = detect_scheme(blocks, str(path), repair=repair) if scheme == "auto" else scheme
    corpus.documents = [
        Document(
            [parse_sentence(block, corpus.scheme, str(path), repair=repair) for block in document]
        )
        for document in documents
    ]
    if repair:
        corpus.repaired = [
            f"line {block.line + i}: {shorten(block.labels[i])}"
            for block in blocks
            for i in find_illegal(block.labels, corpus.scheme)
        ]
    return corpus


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


def format_sentence(sentence: Sentence) -> str:
    labels = encode_iob2(len(sentence.words), sentence.mentions)
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


def format_corpus(documents: Iterable[Document], *, docstarts: bool = True) -> str:
    """RETURNS (str): The canonical format: word, POS, chunk, NER in IOB2, separated by one space; a
    document start before each document; a blank line between blocks, and none at the end."""
    blocks = []
    for document in documents:
        if docstarts:
            blocks.append(f"{DOCSTART} -X- -X- O")
        blocks += map(format_sentence, document.sentences)
    return "\n\n".join(blocks)
