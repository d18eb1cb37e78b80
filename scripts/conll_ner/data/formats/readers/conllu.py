"""CoNLL-U with labels in the column MISC, as NorNE has them
(https://universaldependencies.org/format.html, https://github.com/ltgoslo/norne)."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.conll import make_sentence
from conll_ner.data.columns.decoding import decode_blocks
from conll_ner.data.columns.rows import Block, is_label
from conll_ner.data.encodings import open_text
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, Source
from conll_ner.data.formats.words import from_sentences

FEATURES = ("name", "ne", "ner", "entity", "bio")  # of MISC, in lower case
WIDTH = 10
NEW_DOCUMENT = "# newdoc"


def is_conllu(source: Source) -> str:
    rows = [line.split("\t") for line in source.start.split("\n")[:-1]]
    found = any(len(row) == WIDTH and find_label(row[-1]) for row in rows)
    return "10 columns with labels in MISC" if found else ""


def find_label(misc: str) -> str:
    """RETURNS (str): The label in a word's MISC; empty if it has none."""
    for pair in misc.strip().split("|"):
        name, _, value = pair.partition("=")
        if name.lower() in FEATURES and is_label(value, outside=True):
            return value
    return ""


def read_conllu(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read words and labels. Documents start with `# newdoc`; without it, each sentence is one.
    Words of several tokens, such as 3-4, and empty nodes, such as 3.1, are passed over."""
    numbered: list[tuple[int, Block]] = []  # document, sentence
    document = 0
    block: Block | None = None
    with open_text(path, reading.encoding) as file:
        for number, line in enumerate(file, start=1):
            row = line.rstrip("\r\n").split("\t")
            if line.startswith("#") or not line.strip():
                document += line.startswith(NEW_DOCUMENT)
                block = None if not line.strip() else block
                continue
            if len(row) != WIDTH:
                quoted = shorten(repr(line))
                raise InputError(f"{path}:{number}: {len(row)} columns, not {WIDTH}: {quoted}")
            if block is None:
                block = Block(number, [], f"{path}:{number}")
                numbered.append((document, block))
            if re.fullmatch(r"\d+", row[0]):
                block.rows.append([row[1], find_label(row[-1]) or "O"])
    blocks = [block for _, block in numbered]
    _, mentions, _ = decode_blocks(blocks, reading.scheme, str(path), repair=reading.repair)
    yield from (Issue(*block.problem, unreadable=True) for block in blocks if block.problem)
    keys = [(n, 0 if document else i) for i, (n, _) in enumerate(numbered)]
    for _, group in groupby(range(len(blocks)), keys.__getitem__):
        numbers = [i for i in group if blocks[i].rows and not blocks[i].problem]
        if numbers:
            sentences = [make_sentence(blocks[i], mentions[i]) for i in numbers]
            yield from_sentences(blocks[numbers[0]].where, sentences)


FORMAT = Format("conllu", "CoNLL-U with labels in MISC, such as NorNE", is_conllu, read_conllu)
