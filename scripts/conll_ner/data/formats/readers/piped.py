"""spaCy's form of one sentence a line, `word|POS|label` (https://spacy.io/api/cli#convert, iob)."""

from collections.abc import Iterator
from pathlib import Path

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.conll import make_sentence
from conll_ner.data.columns.decoding import decode_blocks
from conll_ner.data.columns.rows import Block, is_label
from conll_ner.data.encodings import open_text
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, Source
from conll_ner.data.formats.words import from_sentences


def is_piped(source: Source) -> str:
    first = source.start.split("\n", 1)[0].split()
    words = [word.rsplit("|", 2) for word in first]
    is_it = first and all(len(w) > 1 and is_label(w[-1], outside=True) for w in words)
    return "its words are word|label or word|POS|label" if is_it else ""


def read_piped(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read lines of words with labels. A line is a document."""
    blocks = []
    with open_text(path, reading.encoding) as file:
        for number, line in enumerate(file, start=1):
            rows = [word.rsplit("|", 2) for word in line.split()]
            where = f"{path}:{number}"
            wrong = next((row[0] for row in rows if len(row) < 2 or not row[0]), None)
            if wrong is not None:
                yield Issue(where, f"{shorten(repr(wrong))} is no word|label", unreadable=True)
            elif rows:
                blocks.append(Block(number, [[row[0], row[-1]] for row in rows], where))
    if not blocks:
        raise InputError(f"{path} contains no sentences")
    _, mentions, _ = decode_blocks(blocks, reading.scheme, str(path), repair=reading.repair)
    for block, found in zip(blocks, mentions, strict=True):
        if block.problem:
            yield Issue(*block.problem, unreadable=True)
        else:
            yield from_sentences(block.where, [make_sentence(block, found)])


FORMAT = Format(
    "piped",
    r"spaCy's one sentence a line, `word\|POS\|label`",
    is_piped,
    read_piped,
)
